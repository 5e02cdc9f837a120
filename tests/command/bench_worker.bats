#!/usr/bin/env bats
# ayre bench worker, from outside: the groups and their floors, what is left out, that nothing is left; as
# root and as an ordinary user.

bats_require_minimum_version 1.5.0
load support

# Where every user can reach them. One quick run serves several tests.
setup_file() {
  reachable=$(mktemp -d /tmp/ayre-modules.XXXXXX)
  chmod 755 "$reachable"
  cp "$MODULE_DIR"/module_bench.so "$MODULE_DIR"/module_wrong.so "$AYRE_BENCH_MODULE" "$AYRE_ZYGOTE" "$reachable"
  export reachable MODULE_DIR=$reachable AYRE_ZYGOTE=$reachable/${AYRE_ZYGOTE##*/} \
    AYRE_BENCH_MODULE=$reachable/${AYRE_BENCH_MODULE##*/}
  "$AYRE" bench worker --quick --json --plot "$BATS_FILE_TMPDIR/plot.svg" \
    >"$BATS_FILE_TMPDIR/json" 2>"$BATS_FILE_TMPDIR/said"
}

teardown_file() {
  rm -rf "$reachable"
}

query() {
  jq -e "$1" "$BATS_FILE_TMPDIR/json" >/dev/null || { jq . "$BATS_FILE_TMPDIR/json"; return 1; }
}

# Zygotes and their workers run a program that is ours alone, and so does a bench from there.
is_over() {
  ! ls -l /proc/[0-9]*/exe 2>/dev/null | grep -qF "$reachable/"
}

# The first processor that we may use.
one_processor() {
  taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/'
}

two_processors() {
  [ "$(nproc)" -ge 2 ] || skip "needs two processors"
}

# has_group GROUP...: with one floor that is compared with nothing, and a row of ours.
has_group() {
  for group in "$@"; do
    query "[.benchmarks[0].floors[] | select(.group == \"$group\" and .ratio_to_floor == null)] | length == 1"
    query "[.benchmarks[0].rows[] | select(.group == \"$group\" and .side == \"ayre\")] | length >= 1 and
      all(.[]; .ratio_to_floor.q1 <= .ratio_to_floor.median and .ratio_to_floor.median > 0)"
  done
}

@test "every group is there, with its floor and a row of ours" {
  has_group fresh fresh_spare fresh_large_host call_64_asleep png_16 png_64 png_256 png_1024 crash serving_again
  query '.benchmarks | length == 1 and .[0].name == "worker" and .[0].rounds == 5'
}

@test "calls between two processors" {
  two_processors
  has_group call_64 call_64_adapt call_64_asleep_across
  query '.benchmarks[0].note | test("^as user [0-9]+; .* between [0-9]+ and [0-9]+; of [0-9]+ samples ")'
  query '[.benchmarks[0].rows[] | select(.group == "call_64" and .side == "peer") | .name] ==
    ["plain", "bare", "socket", "socket_near"]'
  query '[.benchmarks[0].rows[] | select(.name == "spinning")] | length == 4'
}

@test "a peer is compared with ours in the same rounds, ours with the best peer" {
  query '[.benchmarks[0].rows[] | select(.side == "peer") | .ours_to_this.q1 <= .ours_to_this.median and
    .ours_to_this.median > 0] | all and length >= 8'
  query '[.benchmarks[0].rows[] | select(.group == "fresh" and .side == "ayre")] |
    length == 1 and .[0].ratio_to_best.median > 0 and (.[0].verdict | IN("wins", "even", "loses"))'
}

@test "jails that are not installed, or not allowed, are left out and named" {
  mkdir bin
  printf '#!/bin/sh\necho out; echo no >&2; exit 1\n' >bin/bwrap
  chmod +x bin/bwrap
  run -0 --separate-stderr env "PATH=$PWD/bin" "$AYRE" bench worker/fresh --quick --json
  [ -z "$stderr" ]
  jq -e '[.benchmarks[0].left_out[] | [.name, .why]] ==
    [["bwrap", "bwrap fails here"], ["firejail", "firejail is not installed"]]' <<<"$output"
  jq -e '[.benchmarks[0].rows[].name] == ["posix_spawn", "ayre"]' <<<"$output"
}

@test "on one processor what needs two is left out and named" {
  local groups='fresh fresh_spare fresh_large_host call_64 call_64_adapt call_64_asleep call_64_asleep_across png_16 png_256'
  # shellcheck disable=SC2086
  run -0 --separate-stderr taskset -c "$(one_processor)" "$AYRE" bench $(printf 'worker/%s ' $groups) --quick --json
  jq -e '.benchmarks[0].left_out | map(select(.name != "firejail" and .name != "bwrap")) |
    all(.why == "it needs two processors, and this process may use one") and
    (map(.group + "/" + (.name // "*")) | sort) == ["call_64/*", "call_64_adapt/*", "call_64_asleep_across/*",
      "png_16/spinning", "png_256/spinning"]' <<<"$output"
  jq -e '[.benchmarks[0].rows[] | select(.side == "ayre") | .group] | unique == ["call_64_asleep",
    "fresh", "fresh_large_host", "fresh_spare", "png_16", "png_256"]' <<<"$output"
}

@test "without a module, or a helper program, ours is left out and the reason said" {
  for missing in AYRE_BENCH_MODULE AYRE_ZYGOTE; do
    run -0 --separate-stderr env "$missing=/none/at/all" "$AYRE" bench worker/fresh worker/fresh_large_host \
      worker/call_64_asleep worker/png_16 worker/crash worker/serving_again --quick --json
    jq -e '.benchmarks[0] | (.rows + .floors | all(.side != "ayre")) and
      ([.left_out[] | select(.why | test("^no worker can be had: /none/at/all: No such file"))] |
        (map(.group) | unique) == ["call_64_asleep", "crash", "fresh", "fresh_large_host", "png_16", "serving_again"])' \
      <<<"$output"
  done
}

@test "a module that was built without libpng: no images, and the rest" {
  run -0 --separate-stderr env "AYRE_BENCH_MODULE=$MODULE_DIR/module_bench.so" \
    "$AYRE" bench worker/png_16 worker/fresh_spare --quick --json
  jq -e '.benchmarks[0] | [.left_out[] | [.group, .name, .why]] ==
    [["png_16", null, "the module was built without libpng"]] and (.rows | any(.side == "ayre"))' <<<"$output"
}

@test "an ordinary user has the same" {
  needs_root
  make_place
  groups='fresh fresh_spare fresh_large_host call_64_asleep png_16 serving_again'
  # shellcheck disable=SC2086
  run -0 --separate-stderr as_user bench $(printf 'worker/%s ' $groups) --quick --json
  jq -e '.benchmarks[0].note | startswith("as user 54321;")' <<<"$output"
  # What others' jails let that user do is another matter.
  [ "$(jq -c '.benchmarks[0].rows[] | select(.side == "ayre") | [.group, .name]' <<<"$output")" = \
    "$(jq -c --arg groups "$groups" '.benchmarks[0].rows[] | select(.side == "ayre") |
      select(.group | IN($groups | split(" ")[])) | [.group, .name]' "$BATS_FILE_TMPDIR/json")" ]
}

@test "an answer that is wrong ends it" {
  for group in fresh call_64_asleep; do
    fails 1 "the bytes that were read are not those" \
      env "AYRE_BENCH_MODULE=$MODULE_DIR/module_wrong.so" "$AYRE" bench "worker/$group" --quick
  done
}

@test "nothing on standard error where it is no terminal, nothing left" {
  [ ! -s "$BATS_FILE_TMPDIR/said" ]
  is_over
  run -0 /usr/bin/python3 -c 'import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])' \
    "$BATS_FILE_TMPDIR/plot.svg"
}

@test "one group alone; one that is unknown: exit 2" {
  run -0 --separate-stderr ayre bench worker/fresh_spare --quick --json
  jq -e '.benchmarks | length == 1 and ([.[0].floors[].group] == ["fresh_spare"])' <<<"$output"
  fails 2 "'worker/none': the benchmark has no such group" ayre bench worker/none --quick
}

@test "an interrupt, or a kill, ends all of it and leaves nothing" {
  local signal group status
  cp "$AYRE" "$reachable/ayre"
  for signal in INT KILL; do
    for group in fresh fresh_large_host call_64_asleep png_256 crash; do
      # It alone is told, and what it leaves does not keep us.
      status=0
      timeout --foreground --preserve-status -s "$signal" 0.5 "$reachable/ayre" bench "worker/$group" \
        >/dev/null 2>&1 3>&- || status=$?
      [ "$status" -gt 128 ]
      until_true is_over
    done
  done
}
