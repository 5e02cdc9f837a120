#!/usr/bin/env bats
# ayre topic, pub, sub and gc on a disk: what was said to be safe is, what is damaged is named, and looking changes
# nothing.
# Environment: AYRE, the command; FAIL_FLUSH_LIBRARY, which makes flushes fail.

bats_require_minimum_version 1.5.0
load topic_support

setup() {
  cd "$BATS_TEST_TMPDIR"
  [ "$(stat -f -c %T .)" != tmpfs ] || skip "$PWD is on a tmpfs, not on a disk"
  # Topics by a word are on this disk, too.
  mkdir -m 0700 topics
  export AYRE_DIR=$PWD/topics
  pids=()
}

teardown() {
  stop_all
  for t in "$AYRE_DIR"/* /dev/null; do
    [ ! -d "$t" ] || "$AYRE" topic remove --force "$t" >/dev/null 2>&1 || true
  done
  # What is left in memory of topics that are gone.
  for h in /dev/shm/ayre-log-"$(id -u)"-*; do
    [[ "$(readlink "$h/home")" != "$AYRE_DIR"/* ]] || rm -rf "$h"
  done
}

# Only our own, and only those that still run.
stop_all() {
  local p running
  running=" $(jobs -p -r | tr '\n' ' ') "
  for p in "${pids[@]}"; do
    [[ "$running" != *" $p "* ]] || kill -KILL "$p"
  done
}

# shown TOPIC FILTER
shown() {
  ayre topic show "$1" --json | jq -c "$2"
}

# memory TOPIC: the directory of its half in memory
memory() {
  ayre topic show "$1" --json | jq -r .memory_path
}

# As after a machine has started anew.
restart() {
  rm -rf "$(memory "$1")"
}

# extent TOPIC NUMBER: its path, from 1
extent() {
  find "$AYRE_DIR/$1" -name 'log.*.*' | sort | sed -n "$2p"
}

# flip FILE OFFSET
flip() {
  /usr/bin/python3 -c '
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(int(sys.argv[2]))
    byte = file.read(1)[0]
    file.seek(int(sys.argv[2]))
    file.write(bytes([byte ^ 0x40]))
' "$@"
}

# A publisher that is fed by descriptor 9.
start_publisher() {
  mkfifo feed
  start published "$AYRE" pub "$@" <>feed
  exec 9>feed
}

# --- made and looked at ---

@test "create: what is asked for, and the defaults" {
  ayre topic create t --durable --size 4K --sync each --extent 100000 --retain-bytes 1M --retain-age 90m --tag orders
  [ "$(shown t '[.durable, .sync, .extent_bytes, .retain_bytes, .retain_age_ns, .ring_bytes, .tag, .lossy]')" = \
    '[true,"each",102400,1048576,5400000000000,4096,"orders",false]' ]
  ayre topic create "$AYRE_DIR/u"
  [ "$(shown u '[.durable, .sync, .extent_bytes, .retain_bytes, .retain_age_ns]')" = \
    '[true,"group",67108864,null,null]' ]
  ayre topic create v --sync none
  [ "$(shown v .sync)" = '"none"' ]
  run --separate-stderr ayre topic show t
  [[ "$output" == *"t: durable, rings of 4K, "* ]]
  [[ "$output" == *"log: sync each, extents of 100K, at least 1M or 90m of each publisher is kept, whichever is less, "* ]]
}

@test "create: what can never be" {
  fails 2 "--sync: 'often' is not one of none|group|each" ayre topic create t --sync often
  fails 2 "an extent has 1 byte or more" ayre topic create t --extent 0
  fails 2 "--retain-bytes: 1 byte or more" ayre topic create t --retain-bytes 0
  fails 2 "--retain-age: more than nothing" ayre topic create t --retain-age 0s
  fails 2 "'long' is not a duration" ayre topic create t --retain-age long
  fails 2 "--lossy and --durable exclude each other" ayre topic create t --lossy --durable
  fails 1 "its publishers wait for no subscriber anyway" ayre topic create t --lossy
  [ -z "$(ls "$AYRE_DIR")" ]
  local memory=/dev/shm/ayre-test-$$-$BATS_TEST_NUMBER
  fails 1 "a durable topic is a path on a disk" ayre topic create "$memory" --durable
  fails 1 "that is in memory, and has no log to sync or retain" ayre topic create "$memory" --sync each
  [ ! -e "$memory" ]
}

@test "show and list: who publishes, how far it is safe, what it takes" {
  ayre topic create t --size 4K --extent 64K
  seq 10000 | ayre pub t
  ayre topic show t --json >show
  [ "$(jq -c '.publishers[0] | [.alive, .closed, .messages, .kept_messages, .safe_messages, .in_memory]' show)" = \
    '[false,true,10000,10000,10000,true]' ]
  [ "$(jq '.publishers[0] | .position_bytes == .carried_position_bytes and .carried_position_bytes == .safe_position_bytes' show)" = true ]
  [ "$(jq '.publishers[0].extent_count' show)" -eq "$(find topics/t -name 'log.*.*' | wc -l)" ]
  [ "$(jq '.publishers[0].extent_count' show)" -gt 3 ]
  # 512 bytes are one of du's.
  [ "$(jq '.disk_bytes / 512' show)" -eq "$(find topics/t -type f -print0 | xargs -0 stat -c %b | awk '{ sum += $1 } END { print sum }')" ]
  [ "$(jq -r .path show)" = "$AYRE_DIR/t" ]
  [[ "$(jq -r .memory_path show)" == /dev/shm/ayre-log-$(id -u)-* ]]
  [ "$(readlink "$(memory t)/home")" = "$AYRE_DIR/t" ]
  [ "$(ayre topic list --json | jq -c '[.topics[] | .name, .durable, .publisher_count, .publisher_live_count]')" = \
    '["t",true,1,0]' ]
  ayre topic list | grep -q '^t .* durable '
}

@test "looking makes nothing, in memory or on the disk" {
  seq 100 | ayre pub t
  restart t
  find topics -printf '%p %s %T@\n' | sort >before
  ayre topic list >/dev/null
  ayre topic show t >shown
  grep -q '^in memory: nothing' shown
  grep -q ' - .* closed  ' shown
  [ "$(shown t '[.memory_path, .publishers[0].pid, .publishers[0].in_memory, .publishers[0].messages, .publishers[0].safe_messages]')" = \
    '[null,null,false,100,100]' ]
  ayre gc
  ayre gc t
  find topics -printf '%p %s %T@\n' | sort | cmp - before
  [ -z "$(readlink /dev/shm/ayre-log-*/home | grep -x "$AYRE_DIR/t")" ]
}

@test "show: how far a subscriber is behind that reads from the log" {
  ayre topic create t --size 4K --extent 64K
  start out "$AYRE" sub t --from oldest
  until_true asleep 1 t
  kill -STOP "$pid"
  seq 5000 | ayre pub t
  [ "$(shown t '.subscribers[0] | [.lag_messages, .lanes[0].overtaken // false]')" = '[5000,false]' ]
  kill -CONT "$pid"
  until_true sh -c '[ "$(wc -l <out)" -eq 5000 ]'
  until_true asleep 1 t
  [ "$(shown t '.subscribers[0] | [.lag_messages, .received, .missed]')" = '[0,5000,0]' ]
  seq 5000 | cmp - out
}

# --- published and received ---

@test "a path on a disk just works, and outlives the machine" {
  ayre pub "$PWD/topics/t" first second
  restart t
  ayre pub "$PWD/topics/t" third
  restart t
  [ "$(ayre sub "$PWD/topics/t" --until-closed --json | jq -c '[.sequence, .text]')" = \
    "$(printf '[0,"first"]\n[1,"second"]\n[2,"third"]')" ]
  [ "$(ayre sub t --from 1 --count 1)" = second ]
}

@test "any bytes of any length, unchanged" {
  /usr/bin/python3 -c '
import random, struct, sys
random.seed(6)
for size in [0, 1, 7, 8, 9, 239, 240, 241, 1000, 1017, 1024, 100000, 0] + [random.randrange(3000) for _ in range(500)]:
    sys.stdout.buffer.write(struct.pack("<I", size) + random.randbytes(size))
' >frames
  ayre topic create t --size 4K --extent 64K
  ayre pub t --frames <frames
  ayre sub t --frames --until-closed | cmp - frames
  restart t
  ayre sub t --frames --until-closed | cmp - frames
}

@test "sub --from: a number and a time, from the ring and from the log" {
  for number in 1 2 3 4; do
    ayre pub t "$number"
    date +%s.%N >"after$number"
  done
  for _ in ring log; do
    [ "$(ayre sub t --from 2 --count 2 | tr '\n' ' ')" = '3 4 ' ]
    for number in 1 2 3; do
      [ "$(ayre sub t --from "@$(<"after$number")" --count 1)" = $((number + 1)) ]
    done
    restart t
  done
}

@test "pub: what was sent is safe before it waits for more input" {
  start_publisher t
  until_true peers_of t
  echo one >&9
  until_true is_safe t 1
  printf 'two\nthree\n' >&9
  until_true is_safe t 3
  [ "$(shown t '.publishers[0].alive')" = true ]
}

peers_of() { [ "$(shown "$1" '.publisher_live_count' 2>/dev/null)" = 1 ]; }
is_safe() { [ "$(shown "$1" '.publishers[0].safe_messages')" = "$2" ]; }
has_sent() { [ "$(shown "$1" '.publishers[0].messages')" = "$2" ]; }

@test "sub --safe-only: nothing beyond what is safe" {
  ayre topic create t --sync none
  start all "$AYRE" sub t
  start safe "$AYRE" sub t --safe-only
  until_true asleep 2 t
  start_publisher t
  echo sent >&9
  until_true grep -q sent all
  is_safe t 0
  [ ! -s safe ]
  # Of another topic, which makes it safe.
  ayre topic create u
  start safe_too "$AYRE" sub u --safe-only
  until_true asleep 1 u
  ayre pub u sent
  until_true grep -q sent safe_too
  [ ! -s safe ]
}

@test "sub --safe-only: of a topic in memory, an error" {
  AYRE_DIR=/dev/shm/ayre-test-$$-$BATS_TEST_NUMBER
  fails 1 "nothing is safe in a topic that is in memory" ayre sub t --safe-only
  rm -rf "$AYRE_DIR"
  AYRE_DIR=$PWD/topics
}

@test "a killed publisher: what it had sent is read, and carried by the next one" {
  ayre topic create t --sync none
  start_publisher t
  seq 100 >&9
  until_true has_sent t 100
  kill -KILL "$pid"
  exec 9>&-
  wait "$pid" || true
  [ "$(shown t '.publishers[0] | .carried_position_bytes < .position_bytes')" = true ]
  [ "$(ayre sub t --from oldest --count 100 | tail -n 1)" = 100 ]
  ayre pub t more
  restart t
  [ "$(ayre sub t --until-closed)" = "$(seq 100; echo more)" ]
}

@test "retention: whole extents, never the open one; nobody calls it missing who comes later" {
  ayre topic create t --size 4K --extent 64K --retain-bytes 64K
  seq 20000 | ayre pub t
  [ "$(shown t '.publishers[0].extent_count')" -le 3 ]
  [ "$(shown t '.publishers[0].messages')" = 20000 ]
  kept=$(shown t '.publishers[0].kept_messages')
  [ "$kept" -lt 20000 ]
  run --separate-stderr ayre sub t --until-closed
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
  [ "$(wc -l <<<"$output")" -eq "$kept" ]
  [ "$(tail -n 1 <<<"$output")" = 20000 ]
}

# --- what goes wrong ---

@test "damage: which messages of whom, all others, and exit 1" {
  ayre topic create t --size 4K --extent 64K
  seq 10000 | ayre pub t
  id=$(shown t '.publishers[0].id' | tr -d '"')
  flip "$(extent t 2)" 20000
  run --separate-stderr ayre sub t --until-closed
  [ "$status" -eq 1 ]
  [ "$(wc -l <<<"$output")" -eq 9999 ]
  number=$(sed -n 's/.*: message \([0-9]*\) is damaged.*/\1/p' <<<"$stderr")
  [ "$stderr" = "ayre: sub: t: publisher $id: message $number is damaged in its log: it was passed over
ayre: sub: t: 1 message was missed" ]
  [ "$output" = "$(seq 10000 | sed "$((number + 1))d")" ]
  # Also from the log alone.
  restart t
  run --separate-stderr ayre sub t --until-closed
  [ "$status" -eq 1 ]
  [ "$output" = "$(seq 10000 | sed "$((number + 1))d")" ]
}

@test "damage: an extent that is gone" {
  ayre topic create t --size 4K --extent 64K
  seq 10000 | ayre pub t
  rm "$(extent t 2)"
  run --separate-stderr ayre sub t --until-closed
  [ "$status" -eq 1 ]
  [[ "$stderr" == *": messages "*" to "*" are damaged in its log"* ]]
  missed=$(sed -n 's/.*: \([0-9]*\) messages were missed/\1/p' <<<"$stderr")
  [ "$(wc -l <<<"$output")" -eq $((10000 - missed)) ]
}

# failing N COMMAND...: from its N-th flush on, all fail.
failing() {
  env LD_PRELOAD="$FAIL_FLUSH_LIBRARY" ASAN_OPTIONS=verify_asan_link_order=0 FAIL_FLUSH="$1" "${@:2}"
}

@test "a failed flush, whichever: one line, exit 1; the next publisher writes anew what was sent" {
  [ -n "${FAIL_FLUSH_LIBRARY:-}" ] || skip "FAIL_FLUSH_LIBRARY is not set"
  for how in group each; do
    local told=0 n=1 status=1
    while [ "$status" -ne 0 ]; do
      ayre topic create "$how$n" --sync "$how"
      status=0
      failing "$n" "$AYRE" pub "$how$n" one two 2>said || status=$?
      echo "$how, flush $n: $status, $(cat said)"
      [ "$status" -eq 0 ] || {
        [ "$status" -eq 1 ]
        [ "$(wc -l <said)" -eq 1 ]
        grep -q "^ayre: pub: $how$n: Input/output error" said
        # Once it publishes.
        if grep -q "of its disk: what was sent and is not safe may never be; whoever publishes next" said; then
          told=$((told + 1))
        fi
      }
      sent=$(shown "$how$n" '.publishers[0].messages // 0')
      ayre pub "$how$n" three
      is_safe "$how$n" $((sent + 1))
      restart "$how$n"
      [ "$(ayre sub "$how$n" --until-closed)" = "$(printf 'one\ntwo\n' | head -n "$sent"; echo three)" ]
      n=$((n + 1))
      [ "$n" -lt 20 ]
    done
    [ "$told" -ge 1 ]
  done
}

@test "a full disk: one line, exit 1, the log intact; it goes on when there is room" {
  needs_mounts
  command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4 is installed"
  truncate -s 8M image
  mkfs.ext4 -q -O ^has_journal image
  unshare --mount sh -c 'mkdir probe && mount -o loop image probe' 2>/dev/null || skip "no loop device is to be had"
  unshare --mount bash -euc '
    mount -o loop image topics
    chmod 700 topics
    "$AYRE" topic create t --size 4K --extent 64K
    head -c 2M /dev/zero >topics/ballast
    seq 1000000 | "$AYRE" pub t 2>said && exit 9
    safe=$("$AYRE" topic show t --json | jq ".publishers[0].safe_messages")
    [ "$safe" -gt 1000 ]
    seq "$safe" | cmp - <("$AYRE" sub t --count "$safe")
    rm topics/ballast
    "$AYRE" pub t more
    "$AYRE" sub t --until-closed >all
    [ "$(tail -n 1 all)" = more ]
    sed "\$d" all | cmp - <(seq $(($(wc -l <all) - 1)))
    rm -rf "$("$AYRE" topic show t --json | jq -r .memory_path)"
  '
  [[ "$(<said)" == "ayre: pub: t: No space left on device on its disk: "* ]]
  [ "$(wc -l <said)" -eq 1 ]
}

# --- what is left ---

@test "remove: both halves" {
  ayre pub t one
  half=$(memory t)
  [ -d "$half" ]
  ayre topic remove t
  [ ! -e "$half" ]
  [ ! -e topics/t ]
}

@test "gc: a half in memory whose topic is gone; not while it is there, whatever its name" {
  ayre pub t one
  ayre pub u one
  half=$(memory t)
  [ -z "$(ayre gc)" ]
  mv topics/t topics/moved
  ayre pub moved two
  [ "$(memory moved)" = "$half" ]
  [ "$(readlink "$half/home")" = "$AYRE_DIR/moved" ]
  [ -z "$(ayre gc)" ]
  rm -r topics/moved
  [[ "$(ayre gc --dry-run)" == "would be removed: memory $half, "* ]]
  [ -d "$half" ]
  [ "$(ayre gc --json | jq -c '[.leftovers[] | .kind, .topic, .path, .error]')" = \
    "[\"memory\",\"$AYRE_DIR/moved\",\"$half\",null]" ]
  [ ! -e "$half" ]
  [ -d "$(memory u)" ]
}

@test "gc: what is in no log yet stays, and so does who lives" {
  ayre topic create t --sync none
  start_publisher t
  echo one >&9
  until_true has_sent t 1
  half=$(memory t)
  mv topics/t away
  [ -z "$(ayre gc)" ]
  [ -z "$(ayre gc "$half")" ]
  kill -KILL "$pid"
  exec 9>&-
  wait "$pid" || true
  run --separate-stderr ayre gc
  [ -z "$output" ]
  [ "$stderr" = "ayre: gc: $half: 1.0M of messages whose publishers are gone stay; 'ayre topic remove $half' frees them" ]
  mv away topics/t
  [[ "$(ayre gc)" == "removed: bell $half/pub."* ]]
  [ "$(ayre sub t --count 1)" = one ]
  rm -r topics/t
  ayre topic remove "$half"
  [ ! -e "$half" ]
}

@test "gc: what dead subscribers and publishers left of a durable topic; never its log" {
  start_publisher t
  echo one >&9
  until_true is_safe t 1
  publisher=$pid
  start out "$AYRE" sub t
  until_true asleep 1 t
  kill -KILL "$pid" "$publisher"
  exec 9>&-
  wait "$pid" "$publisher" || true
  find topics -type f | sort >before
  [ "$(ayre gc | sed 's/ .*: \([a-z]*\) .*/ \1/; s/removed: \([a-z]*\) .*/\1/' | sort | tr '\n' ' ')" = 'bell subscriber subscriber ' ]
  find topics -type f | sort | cmp - before
  [ "$(ayre sub t --count 1)" = one ]
  [ -z "$(ayre gc)" ]
}

# --- verify and repair ---

@test "verify: all of it is whole, of a live and of a closed one" {
  ayre topic create t --size 4K --extent 64K
  seq 10000 | ayre pub t
  run -0 ayre topic verify t
  [[ "$output" =~ ^"1 log, "[0-9]+" extents, 10000 messages, "[0-9K.]+": all of it is whole"$ ]]
  start_publisher t
  echo more >&9
  until_true is_safe t 10001
  [ "$(ayre topic verify t --json | jq -c '[.whole, .messages, .flaw_count, .flaws]')" = '[true,10001,0,[]]' ]
  fails 1 "somebody publishes to it" ayre topic repair t
  fails 1 "No such file or directory" ayre topic verify none
}

@test "verify names the place, repair cuts it out, and nothing that is whole" {
  ayre topic create t --size 4K --extent 64K
  seq 10000 | ayre pub t
  second=$(extent t 2)
  flip "$second" 20000
  run -1 --separate-stderr ayre topic verify t
  [[ "${lines[0]}" =~ ^"$(basename "$second"): byte "[0-9]+": records that are not whole: message "[0-9]+", 32"$ ]]
  [[ "${lines[1]}" == *", 9999 messages, "*": damaged in 1 place" ]]
  run -1 ayre topic verify t --json
  number=$(jq '.flaws[0].sequence' <<<"$output")
  [ "$(jq -c '[.whole, .flaws[0].kind, .flaws[0].messages, .flaws[0].repaired]' <<<"$output")" = '[false,"record",1,false]' ]
  find topics -printf '%p %s %T@\n' | sort >before
  run -0 ayre topic repair t --dry-run
  [[ "${lines[0]}" == "would be repaired: $(basename "$second"): byte "*": message $number, 32" ]]
  find topics -printf '%p %s %T@\n' | sort | cmp - before
  run -0 ayre topic repair t
  [[ "${lines[0]}" == "repaired: $(basename "$second"): byte "*": message $number, 32" ]]
  run -0 ayre topic verify t
  restart t
  run -0 --separate-stderr ayre sub t --until-closed
  [ "$output" = "$(seq 10000 | sed "$((number + 1))d")" ]
  [ "$stderr" = "ayre: sub: t: 1 message was missed" ]
}

@test "verify and repair: what cannot be repaired is said, and is exit 1" {
  ayre topic create t --size 4K --extent 64K
  seq 10000 | ayre pub t
  flip "$(extent t 2)" 60
  run -1 ayre topic verify t
  [[ "$output" == *": byte 0: a head that is not whole: nothing in the file can be read"* ]]
  run -1 ayre topic repair t
  [[ "$output" == *"not repaired: log."*": byte 0: a head"* ]]
}

@test "verify: of a topic in memory, an error" {
  AYRE_DIR=/dev/shm/ayre-test-$$-$BATS_TEST_NUMBER
  ayre topic create t
  fails 1 "it is not durable" ayre topic verify t
  rm -r "$AYRE_DIR"
  AYRE_DIR=$PWD/topics
}
