#!/usr/bin/env bats
# The examples do what their head comments say, in as many processes as they speak of.
# Environment: EXAMPLES_DIR, where they were built; AYRE, the command.

bats_require_minimum_version 1.5.0
load textbook/support

setup() {
  : "${EXAMPLES_DIR:?the directory of the examples}" "${AYRE:?the command}"
  cd "$BATS_TEST_TMPDIR"
  # Two runs at once have two keys and two names.
  touch key
  key=$(ftok_key key N)
  name=ayre-examples-$$-$BATS_TEST_NUMBER
  pids=()
}

teardown() {
  stop "${pids[@]}"
  ! table_line "$key" >/dev/null || ipcrm -M "$key"
  rm -f "/dev/shm/$name"
}

sysv_note() {
  "$EXAMPLES_DIR/sysv_note" "$@"
}

shared_counter() {
  "$EXAMPLES_DIR/shared_counter" "$@"
}

keep() {
  "$EXAMPLES_DIR/keep" "$@"
}

# start COMMAND...: beside the test; its output is in "printed"
start() {
  "$@" >printed 3>&- &
  pids+=($!)
}

@test "sysv_note: one process writes, the next connects and reads, a third removes" {
  run -0 sysv_note key N write "remember the milk"
  [ "$output" = "created a segment, wrote: remember the milk" ]
  run -0 sysv_note key N read
  [ "$output" = "remember the milk" ]
  run -0 sysv_note key N write "never mind"
  [ "$output" = "connected to a segment, wrote: never mind" ]
  run -0 sysv_note key N read
  [ "$output" = "never mind" ]
  run -0 sysv_note key N remove
  run -1 sysv_note key N read
}

@test "sysv_note: the letter is part of the key, and the segment is 1 KiB" {
  sysv_note key N write "N's"
  run -1 sysv_note key M read
  [[ $output == "sysv_note: sysv:key:M: "* ]]
  [ "$("$AYRE" segment read sysv:key:N | wc -c)" -eq 1024 ]
  run -0 sysv_note key N write "$(printf 'x%.0s' {1..1023})"
  run -1 sysv_note key N write "$(printf 'x%.0s' {1..1024})"
}

@test "sysv_note: a key takes a file that exists" {
  run -1 sysv_note missing N write text
  [[ $output == "sysv_note: sysv:missing:N: "* ]]
  run -2 sysv_note key
}

@test "shared_counter: four processes add at once, a fifth sees it, and none is lost" {
  local adder adders=()
  start shared_counter file watch 4000000
  eventually last_line_is printed 0
  # Long enough to run side by side, not one after the other.
  for adder in 1 2 3 4; do
    shared_counter file add 1000000 3>&- &
    adders+=($!)
  done
  for adder in "${adders[@]}"; do
    wait "$adder"
  done
  eventually last_line_is printed 4000000
  wait "${pids[0]}"
  [ "$(wc -l <printed)" -gt 2 ]
  [ "$(stat -c %s file)" -eq 4194304 ]
}

@test "shared_counter: the watcher sees each store while the others still run" {
  local seen
  start shared_counter file watch 3
  for seen in 1 2; do
    shared_counter file add 1
    eventually last_line_is printed "$seen"
    kill -0 "${pids[0]}"
  done
  shared_counter file add 1
  eventually last_line_is printed 3
  wait "${pids[0]}"
}

@test "shared_counter: a file too small is refused, not damaged" {
  printf 'other' >file
  run -1 shared_counter file watch 0
  [[ $output == "shared_counter: file:file: "* ]]
  [ "$(cat file)" = other ]
}

@test "keep: the file counts the runs, and says what each sync promises" {
  [ "$(stat -f -c %T .)" != tmpfs ] || skip "$PWD is on a tmpfs, not on a disk"
  run -0 keep file "$name"
  diff - <(echo "$output") <<'END'
file: run 1
file, asynchronous sync: nothing: the kernel writes when it likes
file, synchronous sync: the disk has it: it survives a power cut
file, invalidating sync: the same, and every other map of the file sees it
shm: run 1
shm, asynchronous sync: no disk to bring it to: gone with the machine
shm, synchronous sync: no disk to bring it to: gone with the machine
shm, invalidating sync: no disk to bring it to: gone with the machine
END
  run -0 keep file "$name"
  [ "${lines[0]}" = "file: run 2" ]
  [ "${lines[4]}" = "shm: run 2" ]
  # As after a restart.
  rm "/dev/shm/$name"
  run -0 keep file "$name"
  [ "${lines[0]}" = "file: run 3" ]
  [ "${lines[4]}" = "shm: run 1" ]
}

@test "keep: another program's file is refused" {
  head -c 8192 /dev/zero >file
  run -1 keep file "$name"
  [[ $output == *"it has no tag"* ]]
}
