#!/usr/bin/env bats
# ayre bench size, from outside: every mechanism at every size, and the picture of them.

bats_require_minimum_version 1.5.0
load support

# One quick run serves several tests.
setup_file() {
  AYRE_DIR=$(mktemp -d "/dev/shm/ayre-test-bench-$$-XXXXXX")
  export AYRE_DIR TMPDIR=$BATS_FILE_TMPDIR/files
  mkdir "$TMPDIR"
  "$AYRE" bench size --quick --json --plot "$BATS_FILE_TMPDIR/plot.svg" \
    >"$BATS_FILE_TMPDIR/json" 2>"$BATS_FILE_TMPDIR/said"
}

teardown_file() {
  rm -rf "$AYRE_DIR"
}

query() {
  jq -e "$1" "$BATS_FILE_TMPDIR/json" >/dev/null || { jq . "$BATS_FILE_TMPDIR/json"; return 1; }
}

two_processors() {
  [ "$(nproc)" -ge 2 ] || skip "needs two processors"
}

@test "each size has its floor, and memory, file, pipe, socket and ayre beside it" {
  two_processors
  for kind in latency asleep throughput; do
    for size in 64 256 1k 4k 16k 64k 256k 1m; do
      query "[.benchmarks[0].floors[] | select(.group == \"${kind}_$size\")] | length == 1"
      query "[.benchmarks[0].rows[] | select(.group == \"${kind}_$size\") | .name] ==
        [\"memory\", \"file\", \"pipe\", \"socket\", \"ayre\"]"
    done
  done
}

@test "a mapped file is a file: it takes its room where files are made" {
  two_processors
  fails 1 "latency_64: No such file or directory" ayre bench size/latency_64 --quick --directory /none
  "$AYRE" bench size/throughput_64 >/dev/null 2>&1 &
  background=$!
  # A name that is gone, of a file that both sides have.
  until_true grep -q " $TMPDIR/.* (deleted)\$" "/proc/$background/maps"
}

@test "what is bare is neither ours nor theirs" {
  two_processors
  query '[.benchmarks[0].rows[] | select(.side == "bare")] | length == 48 and
    all(.[]; .ratio_to_best == null and .ours_to_this == null and .ratio_to_floor.median > 0)'
  query '[.benchmarks[0].rows[] | select(.side == "ayre") | .ratio_to_best.median > 0 and
    (.verdict | IN("wins", "even", "loses"))] | all and length == 24'
}

@test "a small message passes a topic sooner than a socket" {
  two_processors
  query '.benchmarks[0].rows[] | select(.group == "throughput_64" and .name == "socket") | .ours_to_this.median < 0.5'
}

@test "the picture has a point for each figure, where the scales say it is" {
  two_processors
  plot_shows "$BATS_FILE_TMPDIR/plot.svg" "$BATS_FILE_TMPDIR/json"
  [ "$(grep -c '<polyline' "$BATS_FILE_TMPDIR/plot.svg")" -eq 18 ]
  # The kernel by its version, not by who built it.
  grep -q "Linux $(uname -r | sed 's/[-+].*//')," "$BATS_FILE_TMPDIR/plot.svg"
}

@test "one group alone is a chart, and where nothing was measured it says so" {
  two_processors
  ayre bench size/latency_1k --quick --json --plot one.svg >one.json
  plot_shows one.svg one.json
  first=$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')
  taskset -c "$first" "$AYRE" bench size/latency_1k --quick --plot none.svg >said
  grep -q 'left out: it needs two processors' said
  grep -q '>left out<' none.svg
}

@test "as many rounds as are asked for, of whichever benchmark" {
  run -0 --separate-stderr ayre bench topic/open file/first_touch --quick --json --rounds 7
  jq -e '[.benchmarks[].rounds] == [7, 7]' <<<"$output"
  for number in 0 32 99999999999; do
    fails 2 "--rounds: from 1 to 31" ayre bench file --rounds $number
  done
}

@test "several benchmarks end with one table that has a line for each group" {
  run -0 --separate-stderr ayre bench topic/open topic/idle_bytes file/memory file/first_touch --quick
  table=$(sed -n '/^group  *ours/,$p' <<<"$output")
  [ "$(awk '{ print $1 }' <<<"$table" | tr '\n' ' ')" = \
    'group file/memory file/first_touch topic/open topic/idle_bytes ' ]
  grep -q '^file/memory *floors alone$' <<<"$table"
  # The mapped row that takes the least of the floor, by the tables above.
  best=$(sed -n 's/^  \(mapped, touched\|the same, populated\).* -  *[0-9.]* [nu]s  *\([0-9.]*\) \[.*/\2/p' <<<"$output" |
    sort -n | head -n 1)
  [ -n "$best" ]
  grep -q "^file/first_touch  *[0-9.]* [nu]s  *$best \[.*\]  *[0-9.]* \[.*\]  *read, buffer" <<<"$table"
  run -0 --separate-stderr ayre bench file/first_touch --quick
  [[ "$output" != *'times the floor         against'* ]]
}

@test "nothing on standard error where it is no terminal, nothing left" {
  [ ! -s "$BATS_FILE_TMPDIR/said" ]
  [ -z "$(ls -A "$AYRE_DIR")" ]
  [ -z "$(ls -A "$TMPDIR")" ]
}
