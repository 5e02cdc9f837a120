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
  # Topics, in memory.
  export AYRE_DIR=/dev/shm/$name.topics
  mkdir "$AYRE_DIR"
  pids=()
}

teardown() {
  stop "${pids[@]}"
  ! table_line "$key" >/dev/null || ipcrm -M "$key"
  rm -f "/dev/shm/$name"
  rm -rf "$AYRE_DIR" ${place:+"$place"}
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
    "$EXAMPLES_DIR/fifo_talk" talk listen 1 >heard 3>&- &
    pids+=($!)
    eventually grep -q "of 60" heard
    kill "${pids[-1]}"
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

# --- topics ---

# begin NAME EXAMPLE ARGUMENT...: beside the test, into NAME.out and NAME.err; its process is $begun
begin() {
  "$EXAMPLES_DIR/$2" "${@:3}" >"$1.out" 2>"$1.err" 3>&- &
  begun=$!
  pids+=("$begun")
}

publisher() {
  timeout 60 "$EXAMPLES_DIR/publisher" "$@"
}

subscriber() {
  timeout 60 "$EXAMPLES_DIR/subscriber" "$@"
}

# has_lines FILE COUNT
has_lines() {
  [ "$(wc -l <"$1")" -ge "$2" ]
}

# has_line FILE LINE
has_line() {
  grep -qxF "$2" "$1"
}

# numbers FILE WHAT: of the prices of WHAT, in the order in which they came
numbers() {
  sed -n "s/^$2 \([0-9]*\): .*/\1/p" "$1"
}

# begin_stopped NAME TOPIC: a subscriber that has come and is stopped
begin_stopped() {
  begin "$1" subscriber "$2"
  eventually has_cursor "$2"
  kill -STOP "$begun"
}

has_cursor() {
  compgen -G "$AYRE_DIR/$1/sub.????????????????" >cursors
}

# lanes TOPIC: how many publishers it has had at once
lanes() {
  find "$AYRE_DIR/$1" -name 'pub.????????????????' | wc -l
}

@test "publisher, subscriber: two send to two, and each gets all of both in order" {
  local what file
  begin one subscriber prices
  begin two subscriber prices
  # Neither begins, and so closes, before the other is there.
  begin bread publisher -w 2 -p 1 prices bread 300
  begin milk publisher -w 2 -p 1 prices milk 300
  for pid in "${pids[@]}"; do
    wait "$pid"
  done
  for what in bread milk; do
    for file in one two; do
      diff <(numbers "$file.out" "$what") <(seq 300)
    done
  done
  [ "$(cat one.err)" = "received 600, missed 0" ]
  [ "$(lanes prices)" -eq 2 ]
}

@test "publisher: what it sent is kept, and the next one goes on in its lane" {
  publisher prices bread 3
  publisher prices milk 2
  [ "$(lanes prices)" -eq 1 ]
  run -0 --separate-stderr subscriber -o prices
  diff - <(echo "$output") <<'END'
bread 1: 99.92
bread 2: 99.86
bread 3: 99.82
milk 1: 99.92
milk 2: 99.86
END
  [ "$stderr" = "received 5, missed 0" ]
}

@test "publisher: killed, its subscriber gets what it had sent, and is told that it died" {
  begin seen subscriber prices
  begin sending publisher -w 1 -p 5 prices bread 100000
  eventually has_lines seen.out 20
  kill -KILL "$begun"
  wait "${pids[0]}" || [ $? -eq 3 ]
  sent=$(wc -l <seen.out)
  diff <(numbers seen.out bread) <(seq "$sent")
  # Messages are counted from 0, prices from 1.
  diff - seen.err <<END
subscriber: a publisher died after its message $((sent - 1))
received $sent, missed 0
END
  # The next one goes on where it died.
  publisher prices bread 1
  [ "$(lanes prices)" -eq 1 ]
}

@test "subscriber: stopped, a reliable publisher waits for it; killed, it does not" {
  local stopped
  begin_stopped stopped prices
  stopped=$begun
  # Far more than a ring holds.
  begin sent publisher -w 1 prices bread 200000
  sleep 0.5
  kill -0 "$begun"
  kill -CONT "$stopped"
  wait "$begun"
  wait "$stopped"
  diff <(numbers stopped.out bread) <(seq 200000)

  begin_stopped stopped prices
  stopped=$begun
  begin sent publisher -w 1 prices bread 200000
  sleep 0.2
  kill -0 "$begun"
  kill -KILL "$stopped"
  wait "$begun"
}

@test "subscriber: a lossy one holds up nobody, and what it misses is counted" {
  begin slow subscriber -l -p 1 prices
  run -0 publisher -w 1 prices bread 200000
  [[ $output == *", waited for them 0 times" ]]
  wait "${pids[0]}"
  [[ $(cat slow.err) =~ ^received\ ([0-9]+),\ missed\ ([1-9][0-9]*)$ ]]
  [ $((BASH_REMATCH[1] + BASH_REMATCH[2])) -eq 200000 ]
  [ "$(wc -l <slow.out)" -eq "${BASH_REMATCH[1]}" ]
  # In order, with gaps, to the last.
  numbers slow.out bread | sort -n -u -c
  [ "$(numbers slow.out bread | tail -n 1)" -eq 200000 ]
}

@test "publisher: a lossy topic waits for no subscriber, not even one that is stopped" {
  publisher -l prices none 1
  begin_stopped stopped prices
  run -0 publisher -w 1 prices bread 200000
  [[ $output == *", waited for them 0 times" ]]
  kill -CONT "${pids[0]}"
  wait "${pids[0]}"
  [[ $(cat stopped.err) =~ ^received\ ([0-9]+),\ missed\ ([1-9][0-9]*)$ ]]
  [ $((BASH_REMATCH[1] + BASH_REMATCH[2])) -eq 200000 ]
}

@test "publisher, subscriber: a name that cannot be, and messages of another kind" {
  run -1 publisher .prices bread 1
  [[ $output == "publisher: .prices: "* ]]
  run -1 subscriber missing/prices
  [[ $output == *"No such file or directory"*"missing"* ]]
  run -2 subscriber
  run -2 publisher prices bread
  : | "$EXAMPLES_DIR/event_loop" other prices anna
  run -1 publisher prices bread 1
  [[ $output == *"its tag is 'lines'"* ]]
}

has_lanes() {
  [ "$(lanes "$1" 2>/dev/null)" -eq "$2" ]
}

# sit NAME: a desk in the room, whose standard input is what is written to descriptor $input
sit() {
  mkfifo "$1.in"
  "$EXAMPLES_DIR/event_loop" prices room "$1" <"$1.in" >"$1.out" 2>"$1.err" 3>&- &
  begun=$!
  pids+=("$begun")
  exec {input}>"$1.in"
}

@test "event_loop: three in a room hear each other, and prices, and one is killed" {
  local anna bert carl anna_in bert_in carl_in
  sit anna
  anna=$begun anna_in=$input
  sit bert
  bert=$begun bert_in=$input
  sit carl
  carl=$begun carl_in=$input
  eventually has_lanes room 3
  echo "good morning" >&"$anna_in"
  for desk in bert carl; do
    eventually has_line "$desk.out" "anna: good morning"
  done
  kill -KILL "$carl"
  publisher -w 2 prices bread 1000
  eventually has_line anna.out "1000 prices"
  eventually has_line bert.out "1000 prices"
  # The end of what is typed is its end; a line without one is said.
  printf 'fine\nbye' >&"$bert_in"
  eventually has_line anna.out "bert: fine"
  exec {bert_in}>&-
  wait "$bert"
  eventually has_line anna.out "bert: bye"
  # Nobody is left to hear, and it is said all the same.
  echo "alone" >&"$anna_in"
  exec {anna_in}>&- {carl_in}>&-
  wait "$anna"
  [ "$(grep -c anna: anna.out)" -eq 0 ]
  [ ! -s anna.err ]
}

@test "event_loop: a room that is full stops the typing, and not the prices" {
  local anna bert anna_in bert_in
  sit anna
  anna=$begun anna_in=$input
  sit bert
  bert=$begun bert_in=$input
  eventually has_lanes room 2
  kill -STOP "$bert"
  # More than the room holds, and more than the pipe does.
  seq -f 'line %g' 200000 >&"$anna_in" 3>&- &
  pids+=($!)
  sleep 0.5
  kill -0 $!
  publisher -l prices bread 500
  eventually has_line anna.out "500 prices"
  kill -CONT "$bert"
  wait $!
  eventually has_line bert.out "anna: line 200000"
  diff <(grep ^anna: bert.out) <(seq -f 'anna: line %g' 200000)
  exec {anna_in}>&- {bert_in}>&-
  wait "$anna" "$bert"
}

@test "event_loop: a publisher of prices that is killed is told of" {
  local desk_in
  sit anna
  desk_in=$input
  begin sending publisher -w 1 -p 5 prices bread 100000
  eventually grep -q ' prices$' anna.out
  kill -KILL "$begun"
  eventually grep -q '^a publisher of prices died after its message [0-9]*$' anna.out
  # By then all that it had sent has been counted.
  last=$(sed -n 's/^a publisher .* message //p' anna.out)
  exec {desk_in}>&-
  wait "${pids[0]}"
  [ "$(awk '/ prices$/ { sum += $1 } END { print sum }' anna.out)" -eq $((last + 1)) ]
}

request_reply() {
  timeout 60 "$EXAMPLES_DIR/request_reply" "$@"
}

# Takes a server some ten seconds.
prime=2305843009213693951

@test "request_reply: numbers are answered, whoever asks, before there is a server too" {
  begin early request_reply factors ask 91
  begin server request_reply factors serve
  wait "${pids[0]}"
  [ "$(cat early.out)" = "91 = 7 x 13" ]
  run -0 request_reply factors ask 15 1000003 1 7
  diff - <(LC_ALL=C sort <<<"$output") <<'END'
1000003 is prime
15 = 3 x 5
1: Numerical argument out of domain
7 is prime
END
  run -2 request_reply factors
  run -1 request_reply .factors ask 1
  [[ $output == "request_reply: .factors"* || $output == *"a topic is a word"* ]]
}

@test "request_reply: nobody waits for longer than wanted, and the server goes on with the next" {
  begin server request_reply factors serve
  eventually has_line server.out serving
  run -0 request_reply factors ask -t 200 "$prime"
  [ "$output" = "$prime: Connection timed out" ]
  run -0 request_reply factors ask 21
  [ "$output" = "21 = 3 x 7" ]
  # Nor with what a client wanted that has gone.
  begin gone request_reply factors ask "$prime"
  sleep 0.2
  kill -KILL "$begun"
  run -0 request_reply factors ask 22
  [ "$output" = "22 = 2 x 11" ]
}

@test "request_reply: a server is killed, and the one that stands by takes over" {
  local first second
  begin first request_reply factors serve
  first=$begun
  eventually has_line first.out serving
  begin second request_reply factors serve
  second=$begun
  sleep 0.1
  [ ! -s second.out ]
  begin asking request_reply factors ask 35 "$prime" 39
  eventually has_line asking.out "35 = 5 x 7"
  kill -KILL "$first"
  eventually has_line second.out serving
  eventually has_line asking.out "39: the server died, and is asked again"
  grep -qxF "$prime: the server died, and is asked again" asking.out
  kill -KILL "$second"
  begin third request_reply factors serve
  eventually has_line third.out serving
  kill "${pids[2]}"
  run -0 request_reply factors ask 4
  [ "$output" = "4 = 2 x 2" ]
}

# A picture of 3 x 2 pixels, of as many bytes as are wanted.
picture() {
  python3 - "$1" <<'PYTHON'
import struct, sys, zlib
def chunk(kind, data):
    body = kind + data
    return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))
png = (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 3, 2, 8, 2, 0, 0, 0)) +
       chunk(b'IDAT', zlib.compress(b'\0' * 20)) + chunk(b'IEND', b''))
sys.stdout.buffer.write(png[:int(sys.argv[1])])
PYTHON
}

@test "png_size: libpng in a worker, with whole and with damaged pictures" {
  [ -x "$EXAMPLES_DIR/png_size" ] || skip "libpng is not installed"
  picture 10000 >whole.png
  picture 40 >cut.png
  [ "$("$EXAMPLES_DIR/png_size" "$EXAMPLES_DIR/png_module.so" <whole.png)" = "3 x 2" ]
  [ "$("$EXAMPLES_DIR/png_size" "$EXAMPLES_DIR/png_module.so" <cut.png)" = "no picture" ]
  [ "$("$EXAMPLES_DIR/png_size" "$EXAMPLES_DIR/png_module.so" </dev/null)" = "no picture" ]
}

# Where every user can reach it: the example, its module, and what they need, in $place.
make_place() {
  place=$(mktemp -d /tmp/ayre-examples.XXXXXX)
  chmod 755 "$place"
  cp "$EXAMPLES_DIR"/worker_pool "$EXAMPLES_DIR"/png_module.so "$EXAMPLES_DIR"/../src/libayre.so.0 "$AYRE_ZYGOTE" "$place"
}

# pool COMMAND... -- FILE...: sorted, since each file is done when it is done
pool() {
  local command=()
  while [ "$1" != -- ]; do
    command+=("$1")
    shift
  done
  shift
  AYRE_ZYGOTE=$place/${AYRE_ZYGOTE##*/} LD_LIBRARY_PATH=$place "${command[@]}" \
    "$place/worker_pool" "$place/png_module.so" "$@" | sort
}

# pictures COMMAND...: which begins the program, as somebody
pictures() {
  diff - <(pool "$@" -- "$place"/*.png "$place/none" /dev/null) <<END
/dev/null: No such device
$place/1.png: 3 x 2
$place/2.png: 3 x 2
$place/3.png: 3 x 2
$place/4.png: 3 x 2
$place/5.png: 3 x 2
$place/6.png: 3 x 2
$place/cut.png: no picture
$place/empty.png: no picture
$place/none: No such file or directory
END
}

@test "worker_pool: each picture in a process of its own, with broken ones among them" {
  local number
  [ -x "$EXAMPLES_DIR/worker_pool" ] || skip "libpng is not installed"
  make_place
  picture 10000 >"$place/1.png"
  for number in 2 3 4 5 6; do
    cp "$place/1.png" "$place/$number.png"
  done
  picture 40 >"$place/cut.png"
  : >"$place/empty.png"
  pictures env
  [ "$(id -u)" -ne 0 ] || pictures setpriv --reuid=54321 --regid=54321 --clear-groups
}

@test "worker_pool: what cannot be loaded is said, and nothing is tried" {
  [ -x "$EXAMPLES_DIR/worker_pool" ] || skip "libpng is not installed"
  run -1 "$EXAMPLES_DIR/worker_pool" ./none.so picture.png
  [[ $output == *"none.so"*"No such file or directory"* ]]
  run -1 "$EXAMPLES_DIR/worker_pool" "$EXAMPLES_DIR/png_module.so"
}

@test "the README shows the module and its host as they are" {
  root=$(dirname "$BATS_TEST_DIRNAME")
  for file in png_module png_size; do
    awk -v file="examples/$file.c" '$0 == "/* " file " */" { shown = 1; next } shown && /^```/ { exit } shown' \
      "$root/README.md" >shown
    awk '/^int [a-z]*\(/ { body = 1 } body' "$root/examples/$file.c" >body
    diff shown body
  done
}

# --- record ---

record() {
  "$EXAMPLES_DIR/record" "$@"
}

# A log on a disk, which teardown removes with its half in memory.
on_a_disk() {
  [ "$(stat -f -c %T .)" != tmpfs ] || skip "$PWD is on a tmpfs, not on a disk"
  log=$PWD/log
}

forget_log() {
  "$AYRE" topic remove --force "$log"
}

@test "record: what a topic carried is safe, and is played to another one" {
  on_a_disk
  seq 1000 | "$AYRE" pub numbers
  head -c 300000 /dev/zero | tr '\0' x | "$AYRE" pub numbers --whole
  run -0 record keep numbers "$log"
  [ "${lines[-1]}" = "1001 safe" ]
  # As after the machine has started anew.
  rm -r "$("$AYRE" topic show "$log" --json | jq -r .memory_path)"
  record play -w 1 -s 0 "$log" again &
  pids+=($!)
  "$AYRE" sub again --until-closed >played
  wait "${pids[0]}"
  cmp played <(seq 1000; head -c 300000 /dev/zero | tr '\0' x; echo)
  forget_log
}

@test "record: it says what is safe while the topic goes on, and goes on itself the next time" {
  on_a_disk
  mkfifo feed
  "$AYRE" pub numbers <feed >/dev/null 3>&- 9>&- &
  pids+=($!)
  exec 9>feed
  start record keep numbers "$log"
  for number in 1 2; do
    echo "$number" >&9
    eventually last_line_is printed "$number safe"
    [ "$("$AYRE" topic show "$log" --json | jq '.publishers[0].safe_messages')" -eq "$number" ]
  done
  # What is reported stays, though nobody closes.
  kill -KILL "${pids[1]}"
  wait "${pids[1]}" || true
  exec 9>&-
  wait "${pids[0]}"
  run -0 record keep numbers "$log"
  [ "$("$AYRE" sub "$log" --from oldest --count 4 | tr '\n' ' ')" = '1 2 1 2 ' ]
  forget_log
}

@test "record: with the pace it had, from a time on" {
  on_a_disk
  (
    # Read as it comes: whoever starts late would find them all at once.
    until [ -e "$log" ]; do sleep 0.05; done
    echo early
    sleep 0.7
    date +%s.%N >since
    echo one
    sleep 2
    echo two
  ) | "$AYRE" pub "$log"
  began=$(date +%s%N)
  record play -f "$(<since)" "$log" slowly
  took=$((($(date +%s%N) - began) / 1000000))
  echo "$took ms"
  [ "$took" -ge 1000 ]
  [ "$("$AYRE" sub slowly --until-closed)" = "$(printf 'one\ntwo')" ]
  began=$(date +%s%N)
  record play -s 1000000 "$log" quickly
  [ $((($(date +%s%N) - began) / 1000000)) -lt "$took" ]
  [ "$("$AYRE" sub quickly --until-closed | wc -l)" -eq 3 ]
  forget_log
}

@test "record: damage is told, the rest played; a log in memory is refused" {
  on_a_disk
  seq 100 | "$AYRE" pub "$log"
  # The first text, behind the head, a header, a check and a stamp.
  printf x | dd of="$(echo "$log"/log.*.*)" bs=1 seek=36888 conv=notrunc status=none
  rm -r "$("$AYRE" topic show "$log" --json | jq -r .memory_path)"
  run -1 record play -s 0 "$log" again
  [[ $output == *"damaged: messages 0 to 1"* ]]
  [ "$("$AYRE" sub again --until-closed | wc -l)" -eq 99 ]
  run -1 record keep again "$AYRE_DIR/log"
  [[ $output == "record: "*"a durable topic is a path on a disk" ]]
  run -2 record play "$log"
  forget_log
}
