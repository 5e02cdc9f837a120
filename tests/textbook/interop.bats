#!/usr/bin/env bats
# ayre and programs that know nothing of it share memory: in both directions, whoever is first.
# Environment: AYRE, the command; TEXTBOOK_DIR, where shmdemo and mapdemo are.

bats_require_minimum_version 1.5.0
load support

setup() {
  : "${AYRE:?the command}" "${TEXTBOOK_DIR:?the directory of shmdemo and mapdemo}"
  cd "$BATS_TEST_TMPDIR"
  pids=()
  # A key file of our own, so that two runs at once have two keys.
  cp "$BATS_TEST_DIRNAME/shmdemo.c" .
  segment=sysv:shmdemo.c:R
  key=$(ftok_key shmdemo.c R)
}

teardown() {
  stop "${pids[@]}"
  ! table_line "$key" >/dev/null || ipcrm -M "$key"
}

shmdemo() {
  "$TEXTBOOK_DIR/shmdemo" "$@"
}

mapdemo() {
  "$TEXTBOOK_DIR/mapdemo" "$@"
}

# start FILE COMMAND...: runs it beside the test, its output in FILE
start() {
  local output=$1
  shift
  "$@" >"$output" 3>&- &
  pids+=($!)
}

table_says() {
  [ "$(table_line "$key")" = "$1" ]
}

@test "shmdemo writes first, ayre reads" {
  shmdemo "from the textbook"
  run -0 "$AYRE" segment read "$segment" --string
  [ "$output" = "from the textbook" ]
  table_says "644 1024 0"
}

@test "ayre writes first, shmdemo prints" {
  "$AYRE" segment write "$segment" "from ayre"
  table_says "644 1024 0"
  run -0 shmdemo
  [ "$output" = 'segment contains: "from ayre"' ]
}

@test "shmdemo makes the segment, ayre writes into it, shmdemo prints that" {
  run -0 shmdemo
  [ "$output" = 'segment contains: ""' ]
  "$AYRE" segment write "$segment" "answer"
  run -0 shmdemo
  [ "$output" = 'segment contains: "answer"' ]
  table_says "644 1024 0"
}

@test "ayre makes the segment, shmdemo writes into it, ayre reads that" {
  "$AYRE" segment create "$segment" --size 1K
  shmdemo "a longer text first"
  shmdemo "then a short one"
  run -0 "$AYRE" segment read "$segment" --string
  [ "$output" = "then a short one" ]
  table_says "644 1024 0"
}

@test "ayre reads all 1024 bytes, the text and zeros" {
  shmdemo "text"
  "$AYRE" segment read "$segment" >bytes
  { printf text && head -c 1020 /dev/zero; } | cmp - bytes
}

@test "the key of a path and the number that it gives are one segment" {
  shmdemo "by number"
  run -0 "$AYRE" segment read "sysv:$key" --string
  [ "$output" = "by number" ]
}

@test "a text that does not fit into shmdemo's segment changes nothing" {
  shmdemo "as it was"
  run -1 "$AYRE" segment write "$segment" "$(printf 'x%.0s' {1..1024})"
  run -0 shmdemo
  [ "$output" = 'segment contains: "as it was"' ]
  "$AYRE" segment write "$segment" "$(printf 'x%.0s' {1..1023})"
}

@test "ayre follows what shmdemo writes, and is counted as attached meanwhile" {
  shmdemo "one"
  start followed "$AYRE" segment read "$segment" --string --follow
  eventually last_line_is followed one
  table_says "644 1024 1"
  shmdemo "two"
  eventually last_line_is followed two
  shmdemo "three"
  eventually last_line_is followed three
  table_says "644 1024 1"
  kill "${pids[0]}"
  eventually table_says "644 1024 0"
}

@test "ayre removes the segment; shmdemo makes a new, empty one" {
  shmdemo "to be forgotten"
  "$AYRE" segment remove "$segment"
  run -1 table_line "$key"
  run -0 shmdemo
  [ "$output" = 'segment contains: ""' ]
}

@test "mapdemo fills a file first, ayre reads it" {
  echo "from the textbook" | mapdemo w file
  [ "$(stat -c %s file)" -eq 20 ]
  run -0 "$AYRE" segment read file:file --string
  [ "$output" = "from the textbook" ]
}

@test "ayre makes the file first, mapdemo prints it, and whatever ayre writes next" {
  "$AYRE" segment write file:file "from ayre" --size 20
  [ "$(stat -c %s file)" -eq 20 ]
  start printed "$TEXTBOOK_DIR/mapdemo" r file
  eventually last_line_is printed "from ayre"
  "$AYRE" segment write file:file "and again"
  eventually last_line_is printed "and again"
  [ "$(stat -c %s file)" -eq 20 ]
}

@test "mapdemo makes the file, ayre writes into it while mapdemo has it mapped" {
  start printed "$TEXTBOOK_DIR/mapdemo" r file
  eventually test -s file
  "$AYRE" segment write file:file "answer"
  eventually last_line_is printed answer
  [ "$(stat -c %s file)" -eq 20 ]
}

@test "ayre makes the file, mapdemo fills it through its pointer, ayre follows" {
  mkfifo input
  "$AYRE" segment create file:file --size 20
  start followed "$AYRE" segment read file:file --string --follow
  "$TEXTBOOK_DIR/mapdemo" w file <input 3>&- &
  pids+=($!)
  exec 9>input
  local line
  for line in one two "exactly twenty bytes"; do
    echo "$line" >&9
    eventually last_line_is followed "$line"
  done
  exec 9>&-
  [ "$(stat -c %s file)" -eq 20 ]
}

@test "many look at one file: ayre writes, mapdemo and ayre all see it" {
  "$AYRE" segment write file:file "start" --size 20
  start first "$TEXTBOOK_DIR/mapdemo" r file
  start second "$TEXTBOOK_DIR/mapdemo" r file
  start third "$AYRE" segment read file:file --string --follow
  "$AYRE" segment write file:file "seen by all"
  local reader
  for reader in first second third; do
    eventually last_line_is "$reader" "seen by all"
  done
}

@test "a text that does not fit into mapdemo's file changes nothing" {
  echo "as it was" | mapdemo w file
  cp file before
  # Twenty bytes and the NUL are one too many.
  run -1 "$AYRE" segment write file:file "exactly twenty bytes"
  cmp file before
  printf "exactly twenty bytes" | "$AYRE" segment write file:file
  [ "$(cat file)" = "exactly twenty bytes" ]
}
