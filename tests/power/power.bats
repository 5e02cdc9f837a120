#!/usr/bin/env bats
# What ayre reports as written is on the disk when the power goes, and what cannot be written is
# an error that stays (ayre_segment_sync(), "ayre segment sync", "ayre segment write --sync").
#
# Each claim stands beside a control that must lose its bytes, so that a test which could not see
# a loss is red. Needs root: the disks are loop devices that are shut down like by a power cut.
# Environment: AYRE, the command; POWER_DIR, the built helpers; AYRE_TEST_LONG=1 for many more
# rounds; AYRE_TEST_SEED to run a failing round again.

bats_require_minimum_version 1.5.0

setup_file() {
  : "${AYRE:?the command}" "${POWER_DIR:?the directory of the helpers}"
  export AYRE POWER_DIR
  export HERE=$BATS_TEST_DIRNAME
  export ROUNDS=8 CONTROL_ROUNDS=4
  if [ -n "${AYRE_TEST_LONG:-}" ]; then
    ROUNDS=200 CONTROL_ROUNDS=16
  fi
}

# Why power cannot be cut on this file system here; nothing if it can.
obstacle() {
  local probe status=0
  if [ "$(id -u)" -ne 0 ]; then
    echo "mounting a disk takes root"
  elif ! command -v "mkfs.$1" >/dev/null; then
    echo "no mkfs.$1 is installed"
  elif ! unshare --mount true 2>/dev/null; then
    echo "mount namespaces are not to be had here"
  else
    probe='. "$HERE/disk.sh"; set -e; make_disk "$1"; start_machine; cut_power'
    unshare --mount bash -c "$probe" probe "$1" 2>"$1.probe" || status=$?
    [ "$status" -eq 0 ] || echo "no loop device, or no shutdown of $1: $(tail -n 1 "$1.probe")"
  fi
}

setup() {
  cd "$BATS_TEST_TMPDIR"
}

# For which of the file systems; skips the test if for none.
file_systems() {
  local reason reasons="" name
  for name in ext4 xfs; do
    [ -e "$BATS_FILE_TMPDIR/$name" ] || obstacle "$name" >"$BATS_FILE_TMPDIR/$name"
    reason=$(<"$BATS_FILE_TMPDIR/$name")
    if [ -z "$reason" ]; then
      usable+=("$name")
    else
      reasons+="${reasons:+; }$name: $reason"
    fi
  done
  [ "${#usable[@]}" -gt 0 ] || skip "$reasons"
}

# cut LIFE SYNC ROUNDS: on each file system; leaves the last lines in $sums
cut() {
  local usable=() name rounds=$3
  file_systems
  sums=()
  for name in "${usable[@]}"; do
    mkdir -p "$name-$1-$2"
    cd "$name-$1-$2"
    run unshare --mount "$HERE/lose_power.sh" "$name" "$1" "$2" "$rounds"
    cd ..
    # Seen when the test fails.
    echo "$output"
    [ "$status" -eq 0 ]
    sums+=("${lines[-1]}")
    # Whose mount is slower, and what is ayre's own does not depend on it.
    rounds=$(($3 / 2))
  done
}

# All there, in each round; and the disk's own cache was emptied in each.
kept() {
  local sum
  cut "$1" "$2" "$ROUNDS"
  for sum in "${sums[@]}"; do
    [[ $sum =~ ^([0-9]+)" rounds, with losses 0, with flushes "([0-9]+)"; kept "[1-9] ]]
    [ "${BASH_REMATCH[1]}" -eq "${BASH_REMATCH[2]}" ]
  done
}

# A control: without a sync the bytes are lost. Once is enough; somebody's sync(1) may pass by.
lost() {
  local sum
  cut "$1" "$2" "$CONTROL_ROUNDS"
  for sum in "${sums[@]}"; do
    [[ $sum =~ "with losses "[1-9] ]]
  done
}

@test "a new segment that was synced is there, with its name, header and bytes" {
  kept new mixed
}

@test "an existing segment: what was synced is there, by pointer and by write" {
  kept existing wait
}

@test "an invalidating sync writes, too" {
  kept existing invalidate
}

@test "a segment that has grown: the new part is there" {
  kept grown mixed
}

@test "a segment that has been renamed is there under its new name" {
  kept renamed wait
}

@test "a sync takes the bytes that another process has stored" {
  kept other wait
}

@test "a sync through a read-only handle takes them as well" {
  kept reader wait
}

@test "ayre segment write --sync: what it wrote is there" {
  kept command-write sync
}

@test "ayre segment sync: what another program stored is there" {
  kept command-sync sync
}

@test "ayre segment sync --invalidate likewise" {
  kept command-sync invalidate
}

@test "a creation that reached the disk did so whole, initialised and with its header" {
  local sum
  cut created none "$ROUNDS"
  for sum in "${sums[@]}"; do
    [[ $sum =~ "with losses 0," ]]
  done
}

@test "control: a new segment that nobody synced is lost" {
  lost new none
}

@test "control: stores that nobody synced are lost" {
  lost existing none
}

@test "control: an asynchronous sync promises nothing" {
  lost existing async
}

@test "control: ayre segment write without --sync promises nothing" {
  lost command-write none
}

@test "control: ayre segment sync --async promises nothing" {
  lost command-sync async
}

# on_failing_disk KIND CHECK...: lose_disk.sh on each file system, and what has to hold then
on_failing_disk() {
  local kind=$1 usable=() name
  shift
  file_systems
  for name in "${usable[@]}"; do
    mkdir -p "$name"
    cd "$name"
    run --separate-stderr unshare --mount "$HERE/lose_disk.sh" "$name" "$kind"
    cd ..
    echo "$name: $status: $output $stderr"
    "$@"
  done
}

reports_then_recovers() {
  [ "$status" -eq 0 ]
  [ "${lines[0]}" = "No space left on device" ] || [ "${lines[0]}" = "Input/output error" ]
  [ "${lines[1]}" = "this has to be on the disk" ]
}

@test "a write-back error is reported, and again by every later sync of the handle" {
  on_failing_disk handle reports_then_recovers
}

succeeds_quietly() {
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
}

# fails_on_one_line VERB
fails_on_one_line() {
  [ "$status" -eq 1 ]
  [ -z "$output" ]
  [ "${#stderr_lines[@]}" -eq 1 ]
  [[ ${stderr_lines[0]} =~ ^"ayre: segment $1: file:".*"/segment: " ]]
  [[ ${stderr_lines[0]} =~ "No space left on device"|"Input/output error" ]]
}

@test "ayre segment sync reports a write-back error on one line, and fails" {
  on_failing_disk control succeeds_quietly
  on_failing_disk sync fails_on_one_line sync
}

@test "ayre segment write --sync reports a write-back error on one line, and fails" {
  on_failing_disk write fails_on_one_line write
}

@test "a restart: the synced file is there, shared memory proper is gone" {
  local usable=() name
  file_systems
  unshare --mount --ipc true 2>/dev/null || skip "IPC namespaces are not to be had here"
  for name in "${usable[@]}"; do
    mkdir -p "$name"
    cd "$name"
    run -0 unshare --mount --ipc "$HERE/restart.sh" "$name"
    cd ..
    diff - <(echo "$output") <<'END'
file: on the disk
shm: in memory
sysv: in memory
file: there
shm: there
sysv: there
restarted
file: there
shm: gone
sysv: gone
END
  done
}
