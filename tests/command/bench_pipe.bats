#!/usr/bin/env bats
# ayre bench pipe, from outside: the groups, the peers, what is left out, and that nothing is left.

bats_require_minimum_version 1.5.0
load support

# One quick run serves several tests.
setup_file() {
  export TMPDIR=$BATS_FILE_TMPDIR/files
  mkdir "$TMPDIR"
  "$AYRE" bench pipe --quick --json >"$BATS_FILE_TMPDIR/json" 2>"$BATS_FILE_TMPDIR/said"
}

query() {
  jq -e "$1" "$BATS_FILE_TMPDIR/json" >/dev/null || { jq . "$BATS_FILE_TMPDIR/json"; return 1; }
}

@test "every group is there, with its floor" {
  for group in start_4 start_8 start_4_large_host copy_3 meter fan_4 feed_capture; do
    query "[.benchmarks[0].floors[].group] | index(\"$group\") != null"
    query "[.benchmarks[0].rows[] | select(.group == \"$group\" and .side == \"ayre\")] | length == 1"
  done
}

@test "a peer is compared with ours in the same rounds, ours with the best peer" {
  query '[.benchmarks[0].rows[] | select(.side == "peer") | .ours_to_this.q1 <= .ours_to_this.median and
    .ours_to_this.median > 0] | all and length >= 3'
  query '[.benchmarks[0].rows[] | select(.side == "ayre" and .ratio_to_best != null) | .ratio_to_best.median > 0 and
    (.verdict | IN("wins", "even", "loses"))] | all and length >= 3'
}

@test "a host that is large starts programs as a small one does, and a fork does not" {
  query '[.benchmarks[0].rows[] | select(.group == "start_4_large_host" and .name == "fork")] |
    .[0].ours_to_this.median < 0.5'
}

@test "nothing on standard error where it is no terminal, no file left" {
  [ ! -s "$BATS_FILE_TMPDIR/said" ]
  [ -z "$(ls -A "$TMPDIR")" ]
}

@test "a peer that is not installed is left out and named" {
  mkdir bin
  for program in true cat wc head dash; do ln -s "$(command -v "$program")" bin; done
  run -0 --separate-stderr env "PATH=$PWD/bin" "$AYRE" bench pipe --quick --json
  jq -e '[.benchmarks[0].left_out[] | select(.name == "bash") | .why] | all(. == "bash is not installed") and
    length == 4' <<<"$output"
}

@test "an interrupt ends it with all that it started" {
  run timeout --preserve-status -s INT 3 "$AYRE" bench pipe
  [ "$status" -eq 130 ]
  [ -z "$(ls -A "$TMPDIR")" ]
}
