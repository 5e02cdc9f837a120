#!/usr/bin/env bats
# The tour of ./try, without its installation: it runs to its end, its commands can be repeated, and nothing stays.
# Environment: EXAMPLES_DIR, where the examples were built: beside the rest.

bats_require_minimum_version 1.5.0
load textbook/support

setup() {
  : "${EXAMPLES_DIR:?the directory of the examples}"
  root=$(realpath "$BATS_TEST_DIRNAME/..")
  build=$(realpath "$EXAMPLES_DIR/..")
  # What every user can reach, on a disk.
  place=$(mktemp -d /var/tmp/ayre-tour.XXXXXX)
  chmod 755 "$place"
  # Under the address sanitizer: fontconfig keeps what it read.
  echo "leak:libfontconfig" >"$place/suppressions"
  export LSAN_OPTIONS=suppressions=$place/suppressions:print_suppressions=0
  mkdir "$place/mine"
  pids=()
}

teardown() {
  stop "${pids[@]}"
  rm -rf "$place" ${memory:+"$memory"}
}

tour() {
  "$root/scripts/tour" "${build:?}" "$place/mine"
}

# with_own_memory COMMAND...: what it leaves in /dev/shm is in "left"; needs root
with_own_memory() {
  local status=0
  unshare -m sh -c 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm
    status=0
    "$@" || status=$?
    ls -A /dev/shm
    exit $status' sh "$@" || status=$?
  return $status
}

nothing_runs() {
  ! readlink /proc/[0-9]*/cwd | grep -q "^$place/mine/run\."
}

# Of the tour a folder to repeat it in stays, and a contact sheet.
nothing_stays() {
  (cd "$place/mine" && find . -mindepth 1 -maxdepth 1 ! -name tour ! -name contact-sheet.png) >"$place/left"
  ipcs -m | awk '$1 ~ /^0x52/ && $4 == 644 && $5 == 1024 && $6 == 0' >>"$place/left"
  cat "$place/left"
  [ ! -s "$place/left" ] && eventually nothing_runs
}

has_gallery() {
  [ -x "$EXAMPLES_DIR/gallery/postcards" ]
}

# What the steps claim, of the output of a whole tour.
tells_its_story() {
  grep -qx '      segment contains: "from ayre"' "$1"
  grep -qx '      ayre: run: uniqq: No such file or directory: not in any directory of PATH: nothing was run' "$1"
  [ "$(grep -cx '      the same, line for line' "$1")" -eq 2 ]
  grep -q '^      ayre: sub: ./log: publisher [0-9a-f]* died without closing, after its message [0-9]*$' "$1"
  grep -q ' messages, .*: all of it is whole$' "$1"
  grep -q 'one cache line each way .* floor' "$1"
  has_gallery || return 0
  grep -qx '      gallery: crash.evil: killed by SIGSEGV: at address 0x10' "$1"
  grep -qx '      gallery: passwd.evil: not decoded: /etc/passwd: Permission denied' "$1"
  grep -qx '      sheet.png: 18 pictures, 9 failed' "$1"
  "$BATS_TEST_DIRNAME/examples/picture.py" size "$place/mine/contact-sheet.png"
}

@test "the tour runs to its end, and cleans up" {
  tour >"$place/said" 2>&1
  tells_its_story "$place/said"
  nothing_stays
}

@test "nothing stays in memory" {
  [ "$(id -u)" -eq 0 ] || skip "needs root, for a /dev/shm of its own"
  with_own_memory "$root/scripts/tour" "$build" "$place/mine" >"$place/said" 2>&1
  # Behind the last line of the tour there is none.
  [[ $(tail -n 1 "$place/said") == *"/check "* ]]
}

@test "an ordinary user has the same tour" {
  [ "$(id -u)" -eq 0 ] || skip "whoever runs this is one"
  # With a PATH of which all can be looked through.
  user=(setpriv --reuid=54321 --regid=54321 --clear-groups env PATH=/usr/local/bin:/usr/bin:/bin)
  "${user[@]}" test -x "$build/src/command/ayre" -a -x "$root/scripts/tour" || skip "the build is where others cannot reach it"
  chmod 777 "$place/mine"
  "${user[@]}" "$root/scripts/tour" "$build" "$place/mine" >"$place/said" 2>&1
  tells_its_story "$place/said"
  nothing_stays
}

@test "two tours at once" {
  tour >"$place/one" 2>&1 3>&- &
  pids+=($!)
  tour >"$place/said" 2>&1
  wait "${pids[0]}"
  tells_its_story "$place/one"
  tells_its_story "$place/said"
  nothing_stays
}

@test "its commands can be repeated in the folder that it names" {
  tour >"$place/said" 2>&1
  sed -n 's/^    \$ //p' "$place/said" >"$place/commands"
  [ "$(wc -l <"$place/commands")" -gt 15 ]
  cd "$place/mine/tour"
  # In memory, where a reader's are too: the step that is on the disk says so, and takes as long as the disk.
  memory=$(mktemp -d /dev/shm/ayre-tour-again.XXXXXX)
  export AYRE_DIR=$memory
  # As a reader pastes them: a shell takes one line after the other.
  (echo '. ./env' && cat "$place/commands") | timeout 400 bash >"$place/again" 2>&1
  cat "$place/again"
  [ "$(grep -cx 'the same, line for line' "$place/again")" -eq 2 ]
  grep -qx 'segment contains: "from ayre"' "$place/again"
  ! has_gallery || grep -qx 'sheet.png: 18 pictures, 9 failed' "$place/again"
}

# at_step NUMBER FILE
at_step() {
  grep -q "^$1\. " "$2" 2>/dev/null
}

@test "a tour that is interrupted cleans up, wherever it is" {
  local step signal
  for step in 2 4 5; do
    # As a terminal does: to all that is in the foreground.
    for signal in INT TERM; do
      rm -f "$place/said"
      setsid env --default-signal=INT,TERM "$root/scripts/tour" "$build" "$place/mine" >"$place/said" 2>&1 3>&- &
      pids+=($!)
      eventually at_step "$step" "$place/said"
      kill "-$signal" -- "-${pids[-1]}"
      status=0
      wait "${pids[-1]}" || status=$?
      echo "step $step, $signal: $status"
      tail -n 5 "$place/said"
      [ "$status" -eq $((128 + $(kill -l "$signal"))) ]
      ! tells_its_story "$place/said" 2>/dev/null
      nothing_stays
    done
  done
}

@test "a command that fails ends the tour, and it cleans up" {
  mkdir -p "$place/broken/src/command" "$place/broken/examples"
  printf '#!/bin/sh\n[ "$1 $2" = "segment read" ] && exit 1\nexec %s "$@"\n' "$build/src/command/ayre" >"$place/broken/src/command/ayre"
  chmod +x "$place/broken/src/command/ayre"
  build=$place/broken run -1 tour
  [[ $output == *"That failed, and should not have: ayre segment read "* ]]
  nothing_stays
}
