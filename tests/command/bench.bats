#!/usr/bin/env bats
# ayre bench, from outside: what it says, in which form, and that it leaves nothing behind.

bats_require_minimum_version 1.5.0
load support

# One quick run serves several tests.
setup_file() {
  export TMPDIR=$BATS_FILE_TMPDIR/files
  mkdir "$TMPDIR"
  "$AYRE" bench file --quick --json --plot "$BATS_FILE_TMPDIR/plot.svg" \
    >"$BATS_FILE_TMPDIR/json" 2>"$BATS_FILE_TMPDIR/said"
}

query() {
  jq -e "$1" "$BATS_FILE_TMPDIR/json" >/dev/null || { jq . "$BATS_FILE_TMPDIR/json"; return 1; }
}

@test "the document has the machine, the floors and every group" {
  query '.machine | .cpu_count > 0 and (.kernel | length > 0) and .page_bytes >= 4096'
  query '.benchmarks | length == 1 and .[0].name == "file" and .[0].quick and .[0].rounds == 3'
  query '[.benchmarks[0].floors[].name] | contains(["memcpy_hot", "memcpy_cold", "sum", "fill"])'
  for group in memory sequential_read sequential_write random_read_4k random_read_64 small_file_4k \
    small_file_64k first_touch append durable durable_dirtied cold_random_read_4k; do
    query "[.benchmarks[0] | (.floors + .rows + .left_out)[].group] | index(\"$group\") != null"
  done
}

@test "every row has its spread in whole nanoseconds or bytes, and a ratio to its floor" {
  query '[.benchmarks[0].rows[] | (.median_ns // .median_bytes) as $m | (.q1_ns // .q1_bytes) as $q1 |
    (.q3_ns // .q3_bytes) as $q3 | ($m | floor) == $m and $q1 <= $m and $m <= $q3 and
    .ratio_to_floor.median > 0 and .ratio_to_floor.q1 <= .ratio_to_floor.q3] | all and length > 20'
  query '[.benchmarks[0].rows[] | select(.side == "mapped") | .ratio_to_best.median > 0 and
    (.verdict | IN("wins", "even", "loses"))] | all and length >= 8'
}

@test "it can show where mapping wins and where it loses" {
  query '.benchmarks[0].rows[] | select(.group == "random_read_64" and .side == "mapped") | .verdict == "wins"'
  query '[.benchmarks[0].rows[] | select(.group == "small_file_4k" and .side == "mapped") | .verdict] |
    index("loses") != null'
}

@test "nothing on standard error where it is no terminal, no file left" {
  [ ! -s "$BATS_FILE_TMPDIR/said" ]
  [ -z "$(ls -A "$TMPDIR")" ]
}

@test "the plot is well-formed and has a bar for each figure" {
  plot_shows "$BATS_FILE_TMPDIR/plot.svg" "$BATS_FILE_TMPDIR/json"
  [ "$(ls "$BATS_FILE_TMPDIR")" = "$(printf 'files\njson\nplot.svg\nsaid')" ]
}

@test "a plot that cannot be written is refused before the work" {
  fails 1 "No such file or directory" timeout 2 "$AYRE" bench --quick --plot /none/plot.svg
}

@test "an unknown benchmark: exit 2, and the known ones are named" {
  fails 2 "'disk' is not a benchmark; there are: all, file, log, pipe, size, topic, worker" ayre bench disk
  fails 2 "'disk' is not a benchmark" ayre bench file disk
}

@test "no directory, no room: one line, exit 1" {
  fails 1 "/none: No such file or directory" env TMPDIR=/none "$AYRE" bench --quick
  fails 1 "/none: No such file or directory" ayre bench file --quick --directory /none
}

@test "an interrupt ends it by that signal and leaves no file" {
  run timeout --preserve-status -s INT 0.5 "$AYRE" bench file
  [ "$status" -eq 130 ]
  [ -z "$(ls -A "$TMPDIR")" ]
}

@test "a full standard output is an error" {
  run --separate-stderr sh -c '"$1" bench file --quick >/dev/full' sh "$AYRE"
  [ "$status" -eq 1 ]
  [[ "$stderr" == *"No space left on device"* ]]
}
