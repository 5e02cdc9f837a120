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

parent_child() {
  "$EXAMPLES_DIR/parent_child" "$@"
}

fifo_talk() {
  "$EXAMPLES_DIR/fifo_talk" "$@"
}

# start EXAMPLE ARGUMENT...: beside the test; its output is in "printed". The program itself, not a shell around it, so that it can be stopped
start() {
  "$EXAMPLES_DIR/$1" "${@:2}" >printed 3>&- &
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

@test "parent_child: the child reads what the parent writes, in order, to its end" {
  run -0 parent_child 100000 md5sum
  [ "$output" = "$(seq 100000 | md5sum)" ]
  run -3 parent_child 1 sh -c 'read line; [ "$line" = 1 ] && exit 3'
  run -0 parent_child 0 wc -l
  [ "$output" -eq 0 ]
}

@test "parent_child: a child that has enough is no signal" {
  run -0 --separate-stderr parent_child 1000000 head -n 2
  [ "$output" = "$(seq 2)" ]
  [[ $stderr == "parent_child: the child had enough before "* ]]
}

@test "parent_child: a program that is not there" {
  run -127 parent_child 1 ./missing
  [[ $output == *"parent_child: ./missing: No such file or directory"* ]]
  run -2 parent_child 1
}

@test "fifo_talk: the listener comes late, and what was said before is counted" {
  start fifo_talk talk say 20
  sleep 0.3
  run -0 fifo_talk talk listen 1
  [[ $output == *"line 20 of 20"*"the speakers have left"* ]]
  [[ $output != *"line 1 of 20"* ]]
  wait "${pids[0]}"
  [[ $(tail -n 1 printed) =~ ^said\ [0-9]+,\ dropped\ [1-9][0-9]*,\ in\ [0-9]+\ ticks$ ]]
}

@test "fifo_talk: the speaker comes late, leaves and comes back; the listener works meanwhile" {
  start fifo_talk talk listen 3
  for _ in 1 2 3; do
    sleep 0.1
    run -0 fifo_talk talk say 2
    [[ ${lines[0]} == "said 2, dropped 0, "* ]]
  done
  wait "${pids[0]}"
  [ "$(grep -c '^line 2 of 2$' printed)" -eq 3 ]
  [ "$(grep -c '^the speakers have left$' printed)" -eq 3 ]
  [[ $(tail -n 1 printed) =~ ^heard\ 72\ bytes\ in\ ([0-9]+)\ ticks$ ]]
  # Six lines and three pauses.
  [ "${BASH_REMATCH[1]}" -ge 9 ]
}

listener_left() {
  [ "$(grep -c '^the listener has left$' printed)" -ge "$1" ]
}

@test "fifo_talk: the listener leaves and another comes" {
  start fifo_talk talk say 60
  eventually test -p talk
  for times in 1 2; do
    timeout 0.4 "$EXAMPLES_DIR/fifo_talk" talk listen 1 >heard || true
    grep -q "of 60" heard
    # Or the next is here before anybody has noticed.
    eventually listener_left "$times"
  done
  run -0 fifo_talk talk listen 1
  wait "${pids[0]}"
}

@test "ls_wc: with the library and without, as the shell counts" {
  mkdir some
  touch some/{1..77}
  for program in ls_wc ls_wc_bare; do
    run -0 "$EXAMPLES_DIR/$program" some
    [ "$output" = "$(ls some | wc -l)" ]
    [ "$output" = 77 ]
    # As the first, whose failure is not hidden, says.
    run -2 --separate-stderr "$EXAMPLES_DIR/$program" missing
    [ "$output" = 0 ]
    [[ $stderr == *missing* ]]
    run -2 "$EXAMPLES_DIR/$program"
  done
}

@test "ls_wc: descriptors that are closed, and a name that looks like an option, are no matter" {
  mkdir -- -l
  touch -- ./-l/{1..3}
  for program in ls_wc ls_wc_bare; do
    [ "$("$EXAMPLES_DIR/$program" -l 0<&-)" = 3 ]
    [ "$("$EXAMPLES_DIR/$program" -l 2>&-)" = 3 ]
    [ "$("$EXAMPLES_DIR/$program" -l 0<&- 2>&-)" = 3 ]
  done
}

@test "ls_wc: without wc nothing runs; the bare one learns of it when ls has run" {
  mkdir path some
  printf '#!/bin/sh\n: >ran\n' >path/ls
  chmod +x path/ls
  PATH=$PWD/path run -125 "$EXAMPLES_DIR/ls_wc" some
  [[ $output == *wc* ]]
  [ ! -e ran ]
  PATH=$PWD/path run -127 "$EXAMPLES_DIR/ls_wc_bare" some
  [ -e ran ]
}
