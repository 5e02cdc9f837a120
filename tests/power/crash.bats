#!/usr/bin/env bats
# What a log has acknowledged is there, whole and in order, wherever the power goes: crash_points,
# proved on a plain log of its own, right and in four wrong ways; and durable topics, likewise.
#
# Needs root: the disks are loop devices over files that FUSE serves.
# Environment: POWER_DIR, the built helpers; AYRE_TEST_LONG=1 for 10,000 crashes and more;
# AYRE_TEST_SEED to make a failing run's choices again.

bats_require_minimum_version 1.5.0

setup_file() {
  : "${POWER_DIR:?the directory of the helpers}"
  export POWER_DIR
  export RUNS=1 CRASHES=120
  if [ -n "${AYRE_TEST_LONG:-}" ]; then
    RUNS=12 CRASHES=500
  fi
}

setup() {
  cd "$BATS_TEST_TMPDIR"
  [ -x "$POWER_DIR/crash_points" ] || skip "crash_points was built without libfuse3"
}

# crash PROGRAM VARIANT OPTION...: on each file system that can be had. Skips if none can.
crash() {
  local log="$POWER_DIR/$1" variant=$2 possible=0 reasons="" name
  shift 2
  sums=()
  for name in ext4 xfs; do
    run "$POWER_DIR/crash_points" --file-system "$name" "$@" --keep "$BATS_TEST_TMPDIR/$name.failed" \
      :: "$log" write "$variant" :: "$log" check "$variant"
    # Seen when the test fails.
    echo "$output"
    if [ "$status" -eq 77 ]; then
      reasons+="${reasons:+; }$name: ${lines[-1]}"
    else
      [ "$status" -le 1 ]
      possible=$((possible + 1))
      sums+=("$status ${lines[-1]}")
    fi
  done
  [ "$possible" -gt 0 ] || skip "$reasons"
}

# caught PROGRAM VARIANT: some crash fails, within 500.
caught() {
  local sum
  crash "$1" "$2" --points 500 --lives 2 --first
  for sum in "${sums[@]}"; do
    [[ $sum =~ ^1\ .*"; failed 1"$ ]]
  done
}

# holds PROGRAM VARIANT CRASHES: none fails, though writes are lost in some.
holds() {
  local sum option=()
  for ((i = 0; i < RUNS; i++)); do
    [ -z "${AYRE_TEST_SEED:-}" ] || option=(--seed "$((AYRE_TEST_SEED + i))")
    crash "$1" "$2" --points "$3" --lives 4 "${option[@]}"
    for sum in "${sums[@]}"; do
      [[ $sum =~ ^0\ .*"with writes lost "[1-9][0-9]*"; failed 0"$ ]]
    done
  done
}

@test "a right log loses nothing, and invents nothing, at any crash" {
  holds plain_log right "$CRASHES"
}

@test "control: a log that never flushes is caught" {
  caught plain_log unflushed
}

@test "control: a log that acknowledges before it flushes is caught" {
  caught plain_log early
}

@test "control: a log whose checks leave the payload out is caught" {
  caught plain_log unchecked
}

@test "control: a log whose checks are not bound to log and place is caught" {
  caught plain_log unbound
}

@test "a topic: what was sent is safe, each by itself" {
  holds topic_log each "$((CRASHES / 2))"
}

@test "a topic: what was flushed is safe" {
  holds topic_log group "$((CRASHES / 2))"
}

@test "a topic: what a thread has flushed is safe" {
  holds topic_log thread "$((CRASHES / 2))"
}

@test "a topic: what was not given up is safe" {
  holds topic_log retain "$((CRASHES / 2))"
}

@test "a topic: what was asked for is safe where nothing else is" {
  holds topic_log none "$((CRASHES / 2))"
}

@test "control: a topic that is never flushed is caught" {
  caught topic_log unflushed
}

@test "control: a publisher that acknowledges before it flushes is caught" {
  caught topic_log early
}

@test "control: a reader that does not compare the checks is caught" {
  caught topic_log unchecked
}
