#!/usr/bin/env bats
# ayre bench log, from outside: the groups and their floors, what is left out, that it is on a disk, and that nothing
# is left.

bats_require_minimum_version 1.5.0
load support

# What is in memory keeps nothing, and is refused.
find_disk() {
  local directory
  for directory in "$BATS_FILE_TMPDIR" /var/tmp "$(dirname "$BATS_TEST_FILENAME")"; do
    case $(stat -f -c %T "$directory") in
    tmpfs | ramfs) ;;
    *) mktemp -d "$directory/ayre-test-log-XXXXXX" && return ;;
    esac
  done
}

# One quick run serves several tests.
setup_file() {
  AYRE_DIR=$(mktemp -d "/dev/shm/ayre-test-bench-$$-XXXXXX")
  DISK=$(find_disk)
  export AYRE_DIR DISK
  [ -z "$DISK" ] || "$AYRE" bench log --quick --json --directory "$DISK" --plot "$BATS_FILE_TMPDIR/plot.svg" \
    >"$BATS_FILE_TMPDIR/json" 2>"$BATS_FILE_TMPDIR/said"
}

teardown_file() {
  rm -rf "$AYRE_DIR" "${DISK:-$AYRE_DIR}"
}

needs_disk() {
  [ -n "$DISK" ] || skip "no directory on a disk"
}

query() {
  jq -e "$1" "$BATS_FILE_TMPDIR/json" >/dev/null || { jq . "$BATS_FILE_TMPDIR/json"; return 1; }
}

# Nor in memory, where the rings of topics on a disk are.
is_empty() {
  local half
  for half in /dev/shm/ayre-log-*; do
    [[ "$(readlink "$half/home")" != "$DISK"/* ]] || return 1
  done
  [ -z "$(ls -A "$AYRE_DIR")" ] && [ -z "$(ls -A "$DISK")" ]
}

@test "every group is there, and each of its rows is measured or left out with the reason" {
  needs_disk
  for group in safe_single:5 safe_32:10 safe_128:10 batched_1000:6 unsynced:5 unsynced_bursts:3 replay:5 replay_checked:3 seek:5; do
    query "[.benchmarks[0] | (.floors + .rows + .left_out)[] | select(.group == \"${group%:*}\")] |
      length == ${group#*:}"
  done
  query '[.benchmarks[0].rows[] | select(.group != "device_bytes") | .median_ns > 0 and .ratio_to_floor.q1 <= .ratio_to_floor.median] | all and length >= 6'
  query '[.benchmarks[0].left_out[].why | length > 0] | all'
  query '.benchmarks[0].note | test("^on processor [0-9]+, ")'
}

@test "the device's bytes are told by the kernel, or it is said that they are not" {
  needs_disk
  query '.benchmarks[0] | [.floors[] | select(.group == "device_bytes") | .unit == "bytes" and .median_bytes >= 0] ==
    [true] or ([.left_out[] | select(.group == "device_bytes") | .why] ==
    ["the kernel does not say what is written to this device"])'
}

@test "a peer that is not there is named: not built, or not installed" {
  needs_disk
  cd "$BATS_TEST_TMPDIR"
  run -0 --separate-stderr env AYRE_BENCH_MODULE=none/ayre-bench.so "$AYRE" bench log/safe_single --quick --json \
    --directory "$DISK"
  jq -e '[.benchmarks[0].left_out[] | .why] == ["not measured: libsqlite3 was not installed when ayre was built",
    "not measured: liblmdb was not installed when ayre was built"]' <<<"$output"
  mkdir broken
  echo 'no module' | tee broken/ayre-bench-lmdb.so >broken/ayre-bench-sqlite.so
  run -0 --separate-stderr env AYRE_BENCH_MODULE=broken/ayre-bench.so "$AYRE" bench log/safe_single --quick --json \
    --directory "$DISK"
  jq -e '[.benchmarks[0].left_out[] | .why] == ["not measured: libsqlite3 is not installed",
    "not measured: liblmdb is not installed"]' <<<"$output"
}

@test "a directory in memory is refused; one that is missing is said" {
  fails 1 "$AYRE_DIR: it lives in memory" ayre bench log --quick --directory "$AYRE_DIR"
  fails 1 "/none/.ayre-bench-" ayre bench log --quick --directory /none
  is_empty
}

@test "if TMPDIR is in memory, the logs are elsewhere" {
  needs_disk
  cd "$DISK"
  run -0 --separate-stderr env TMPDIR="$AYRE_DIR" "$AYRE" bench log/safe_single --quick --json
  jq -e '.benchmarks[0] | [.floors[].group] == ["safe_single"] and
    (.note | contains("in a directory of /dev/shm") | not)' <<<"$output"
  is_empty
}

@test "nothing on standard error where it is no terminal, nothing left" {
  needs_disk
  [ ! -s "$BATS_FILE_TMPDIR/said" ]
  is_empty
  run -0 /usr/bin/python3 -c 'import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])' \
    "$BATS_FILE_TMPDIR/plot.svg"
}

@test "one group alone; one that is unknown: exit 2" {
  needs_disk
  run -0 --separate-stderr ayre bench log/seek --quick --json --directory "$DISK"
  jq -e '.benchmarks | length == 1 and ([.[0].floors[].group] == ["seek"])' <<<"$output"
  fails 2 "'log/none': the benchmark has no such group" ayre bench log/none --quick --directory "$DISK"
}

@test "an interrupt, or a kill, ends all of it and leaves nothing" {
  needs_disk
  for signal in INT KILL; do
    run timeout --preserve-status -s "$signal" 0.5 "$AYRE" bench log --directory "$DISK"
    [ "$status" -gt 128 ]
    until_true is_empty
  done
}
