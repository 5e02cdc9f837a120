#!/usr/bin/env bats
# ayre bench topic, from outside: the groups and their floors, what is left out, that nothing is left.

bats_require_minimum_version 1.5.0
load support

# One quick run serves several tests.
setup_file() {
  AYRE_DIR=$(mktemp -d "/dev/shm/ayre-test-bench-$$-XXXXXX")
  export AYRE_DIR
  "$AYRE" bench topic --quick --json --plot "$BATS_FILE_TMPDIR/plot.svg" \
    >"$BATS_FILE_TMPDIR/json" 2>"$BATS_FILE_TMPDIR/said"
}

teardown_file() {
  rm -rf "$AYRE_DIR"
}

query() {
  jq -e "$1" "$BATS_FILE_TMPDIR/json" >/dev/null || { jq . "$BATS_FILE_TMPDIR/json"; return 1; }
}

is_empty() {
  [ -z "$(ls -A "$AYRE_DIR")" ]
}

# The first processor that we may use.
one_processor() {
  taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/'
}

two_processors() {
  [ "$(nproc)" -ge 2 ] || skip "needs two processors"
}

@test "every group is there, with its floor and a row of ours" {
  two_processors
  for group in round_trip_48 round_trip_256 round_trip_48_tail stream_48 stream_48_batch stream_1k \
    stream_64k stream_1m memcpy_1m asleep_same_processor asleep_across publish_idle_48 publish_idle_1k \
    fan_1k_1 fan_1k_4 fan_1k_16 open idle_bytes; do
    query "[.benchmarks[0].floors[] | select(.group == \"$group\" and .ratio_to_floor == null)] | length == 1"
    query "[.benchmarks[0].rows[] | select(.group == \"$group\" and .side == \"ayre\")] | length >= 1 and
      all(.[]; .ratio_to_floor.q1 <= .ratio_to_floor.median and .ratio_to_floor.median > 0)"
  done
}

@test "of several floors the best is the floor" {
  two_processors
  query '[.benchmarks[0].floors[] | select(.group == "stream_48")] | length == 4 and
    (map(select(.ratio_to_floor == null))[0].median_ns == (map(.median_ns) | min))'
  query '[.benchmarks[0].floors[] | select(.group == "asleep_same_processor")] | length == 3 and
    (map(select(.ratio_to_floor == null))[0].median_ns == (map(.median_ns) | min))'
}

@test "it says where it ran and how often it was interrupted" {
  two_processors
  query '.benchmarks[0].note | test("^processes on processors [0-9]+ and [0-9]+, two .*; of [0-9]+ samples [0-9]+ ")'
}

@test "a stream costs less than a socket's, and an idle topic its ring and 32 KiB" {
  two_processors
  query '.benchmarks[0].rows[] | select(.group == "stream_48" and .name == "socket") | .ours_to_this.median < 0.5'
  query '.benchmarks[0].rows[] | select(.group == "idle_bytes" and .name == "ayre") |
    .unit == "bytes" and .median_bytes > 1048576 and .median_bytes <= 1048576 + 32768'
}

@test "nothing on standard error where it is no terminal, nothing left" {
  [ ! -s "$BATS_FILE_TMPDIR/said" ]
  is_empty
  plot_shows "$BATS_FILE_TMPDIR/plot.svg" "$BATS_FILE_TMPDIR/json"
}

@test "on one processor what needs two is left out and named" {
  run -0 --separate-stderr taskset -c "$(one_processor)" "$AYRE" bench topic --quick --json
  jq -e '[.benchmarks[0].left_out[] | select(.name == null) | .why] | length >= 14 and
    all(. == "it needs two processors, and this process may use one")' <<<"$output"
  jq -e '[.benchmarks[0].rows[].group] | unique == ["asleep_same_processor", "idle_bytes", "open"]' <<<"$output"
}

@test "one group alone; one that is unknown: exit 2" {
  run -0 --separate-stderr ayre bench topic/open topic/idle_bytes --quick --json
  jq -e '.benchmarks | length == 1 and ([.[0].floors[].group] == ["open", "idle_bytes"])' <<<"$output"
  fails 2 "'topic/none': the benchmark has no such group" ayre bench topic/none --quick
  fails 2 "'topics/open' is not a benchmark" ayre bench topics/open
  is_empty
}

@test "no directory for topics: one line, exit 1" {
  fails 1 "/none/.ayre-bench-" env AYRE_DIR=/none "$AYRE" bench topic --quick
}

@test "an interrupt, or a kill, ends all of it and leaves nothing" {
  for signal in INT KILL; do
    run timeout --preserve-status -s "$signal" 0.5 "$AYRE" bench topic
    [ "$status" -gt 128 ]
    until_true is_empty
  done
}
