#!/usr/bin/env bats
# ayre pub and sub, from outside: every form there and back, where to begin and when to end.

bats_require_minimum_version 1.5.0
load topic_support

@test "texts are messages; sub creates the topic, pub fills it" {
  start out "$AYRE" sub t
  until_true asleep 1 t
  ayre pub t one '' 'three words here' -- --four
  until_true grep -q four out
  [ "$(cat out)" = $'one\n\nthree words here\n--four' ]
  kill "$pid"
  ends_with 143 "$pid"
  nothing_but_content t
}

@test "lines: an empty one, the last without a newline, bytes of any kind" {
  printf 'a\n\nb\rc\0d\377\n' >lines
  ayre pub t <lines
  ayre sub t --until-closed >out
  cmp lines out
  ayre topic remove t
  printf 'a\n\nlast' | ayre pub t --lines
  [ "$(ayre sub t --until-closed --json | jq -c .text)" = $'"a"\n""\n"last"' ]
  [ "$(ayre sub t --until-closed --lines | od -An -c | tr -d ' ')" = 'a\n\nlast\n' ]
  ayre pub empty </dev/null
  [ "$(ayre topic show empty --json | jq '.publishers[0].messages')" = 0 ]
}

@test "nul: there and back" {
  printf 'a\nb\0\0last' >texts
  ayre pub t --nul <texts
  ayre sub t --until-closed --nul >out
  printf '\0' >>texts
  cmp texts out
  [ "$(ayre sub t --until-closed --json | jq -c .size_bytes | tr '\n' ' ')" = '3 0 4 ' ]
}

# frames COUNT MOST: random frames of 0 to MOST bytes.
frames() {
  python3 - "$@" <<'PYTHON'
import os, random, struct, sys
count, most = int(sys.argv[1]), int(sys.argv[2])
for _ in range(count):
    body = os.urandom(random.choice([0, 1, 7, 8, random.randint(0, most), most]))
    sys.stdout.buffer.write(struct.pack('<I', len(body)) + body)
PYTHON
}

@test "frames: there and back, of every size up to many times the ring" {
  for most in 20 3000 70000; do
    frames 300 $most >frames
    rm -rf "$AYRE_DIR"
    ayre topic create t --size 64K
    start out "$AYRE" sub t --frames --until-closed
    ayre pub t --frames --wait-subscribers 1 <frames
    ends_with 0 "$pid"
    cmp frames out
  done
  frames 12 3000000 >frames
  start out "$AYRE" sub t --frames --from next --count 12
  until_true asleep 1 t
  ayre pub t --frames <frames
  ends_with 0 "$pid"
  cmp frames out
}

@test "frames: through a pipe that is slow and cuts them anywhere" {
  frames 60 40000 >frames
  start out "$AYRE" sub t --frames --until-closed
  python3 - frames <<'PYTHON' | ayre pub t --frames --wait-subscribers 1
import random, sys, time
data = open(sys.argv[1], 'rb').read()
while data:
    n = random.choice([1, 3, 4, 5, 1000, 30000, 100000])
    sys.stdout.buffer.write(data[:n])
    sys.stdout.buffer.flush()
    data = data[n:]
    time.sleep(0.001)
PYTHON
  ends_with 0 "$pid"
  cmp frames out
}

@test "frames: one cut short is an error that says how much is missing; what came before is sent" {
  printf '\003\000\000\000abc\005\000\000\000de' >frames
  fails 1 "the last frame is cut short: 3 of its 5 bytes are missing" ayre pub t --frames <frames
  [ "$(ayre sub t --until-closed)" = abc ]
  printf '\003\000\000\000abc\005\000' >frames
  fails 1 "cut short: 2 of the 4 bytes of its length are missing" ayre pub u --frames <frames
  [ "$(ayre sub u --until-closed)" = abc ]
  { printf '\000\000\020\000'; head -c 1000 /dev/zero; } >frames
  fails 1 "cut short: 1047576 of its 1048576 bytes are missing" ayre pub v --frames <frames
  [ "$(ayre topic show v --json | jq '.publishers[0].messages')" = 0 ]
  # A lie about the length is found out when there is no room for it.
  printf '\377\377\377\377' >frames
  run ayre pub w --frames <frames
  [ "$status" -eq 1 ]
}

@test "whole: one message, from a file, the rest of one, a pipe, nothing" {
  head -c 2000000 /dev/urandom >bytes
  ayre pub t --whole <bytes
  head -c 2000000 bytes | ayre pub t --whole
  { head -c 1999990 >/dev/null; ayre pub t --whole; } <bytes
  ayre pub t --whole </dev/null
  echo small | ayre pub t --whole
  [ "$(ayre sub t --until-closed --json | jq .size_bytes | tr '\n' ' ')" = '2000000 2000000 10 0 6 ' ]
  ayre sub t --count 1 --frames | tail -c +5 | cmp - bytes
  ayre sub t --until-closed --frames | tail -c +2000005 | tail -c +5 | head -c 2000000 | cmp - bytes
}

@test "json: an object a line; text, or base64 where it is none" {
  printf 'h\303\244\0\n\001\001\377\0' >texts
  ayre pub t --nul <texts
  ayre sub t --until-closed --json >out
  [ "$(wc -l <out)" -eq 2 ]
  [ "$(jq -r 'select(.sequence == 0).text' out)" = 'hä' ]
  [ "$(jq -r 'select(.sequence == 1).size_bytes' out)" = 4 ]
  [ "$(jq -r 'select(.sequence == 1).base64' out | base64 -d | od -An -tx1 | tr -d ' ')" = 0a0101ff ]
  [ "$(jq -r 'select(.sequence == 0) | keys_unsorted | join(" ")' out)" = \
    'publisher sequence time_ns size_bytes text' ]
  [[ "$(jq -r 'select(.sequence == 0).publisher' out)" =~ ^[0-9a-f]{16}$ ]]
  time_ns=$(jq 'select(.sequence == 0).time_ns' out)
  [ $((time_ns / 1000000000)) -le "$(date +%s)" ]
  [ $((time_ns / 1000000000)) -ge $(($(date +%s) - 100)) ]
}

@test "base64: of one, two and three bytes" {
  printf '\377\0\377\376\0\377\376\375\0' | ayre pub t --nul
  [ "$(ayre sub t --until-closed --json | jq -r .base64 | tr '\n' ' ')" = '/w== //4= //79 ' ]
}

@test "from: the oldest, a number, what comes next" {
  seq 0 9 | ayre pub t
  [ "$(ayre sub t --count 3 | tr '\n' ' ')" = '0 1 2 ' ]
  [ "$(ayre sub t --until-closed --from oldest | head -n 1)" = 0 ]
  [ "$(ayre sub t --count 2 --from 7 | tr '\n' ' ')" = '7 8 ' ]
  [ -z "$(ayre sub t --until-closed --from 10 --timeout 100ms)" ]
  start out "$AYRE" sub t --count 2 --from next
  until_true asleep 1 t
  ayre pub t 10 11
  ends_with 0 "$pid"
  [ "$(tr '\n' ' ' <out)" = '10 11 ' ]
}

@test "from: a time, local, UTC, in seconds, with a fraction" {
  ayre pub t before
  sleep 0.02
  between=$(date +%s.%N)
  sleep 0.02
  ayre pub t after
  for zone in UTC Asia/Kolkata America/New_York; do
    export TZ=$zone
    for word in "$(date -d "@$between" +%Y-%m-%dT%H:%M:%S.%N)" \
      "$(date -u -d "@$between" +%Y-%m-%dT%H:%M:%S.%NZ)" "@$between"; do
      [ "$(ayre sub t --from "$word" --until-closed)" = after ]
    done
    word=$(date -d "@$((${between%.*} - 3))" +%Y-%m-%dT%H:%M:%S)
    [ "$(ayre sub t --from "$word" --until-closed | tr '\n' ' ')" = 'before after ' ]
  done
  [ "$(ayre sub t --from @0 --count 1)" = before ]
  unset TZ
}

@test "from: what is yet to come is what is sent from now on" {
  ayre pub t before
  for word in 1 2 9223372036854775807 18446744073709551615 99999999999999999999 @9000000000 \
    2261-01-01T00:00:00Z; do
    start out "$AYRE" sub t --count 1 --from "$word"
    until_true asleep 1 t
    ayre pub t "after $word"
    ends_with 0 "$pid"
    [ "$(<out)" = "after $word" ]
    # Not the first of the lane any more.
    ayre topic remove t
    ayre pub t before
  done
}

@test "from: what is none" {
  fails 2 "from 1970 to 2262" ayre sub t --from 9999-01-01T00:00:00Z
  for word in '' now 1x -1 1844674407370955161.5 99999999999999999999x @ @x @1x @-1 @99999999999 2026-11-26 2026-11-26T12:00 \
    2026-11-26T12:00:00z 2026-11-26T12:00:00+01 2026-02-30T12:00:00 2026-11-26T24:00:00 \
    2026-11-26T12:60:00 2026-11-26T12:00:00. 20026-11-26T12:00:00 1969-01-01T00:00:00Z; do
    fails 2 "'$word' is not one of next, oldest" ayre sub t "--from=$word"
  done
  [ ! -e "$AYRE_DIR/t" ]
}

@test "from the oldest, into what comes: in order, and nothing twice" {
  for form in --lines --frames; do
    ayre pub t 1 2
    start out "$AYRE" sub t $form --from oldest
    until_true asleep 1 t
    for i in 3 5 7 9; do
      ayre pub t $i $((i + 1))
    done
    until_true grep -q 10 out
    [ "$(tr -cd '0-9' <out)" = 12345678910 ]
    kill "$pid"
    ayre topic remove t --force
  done
}

@test "a subscriber that joins at full speed finds whole messages" {
  ayre topic create t --size 4K
  start none sh -c 'exec "$1" pub t <&9' sh "$AYRE" 9< <(yes 'the same line')
  for _ in $(seq 20); do
    [ "$(ayre sub t --from oldest --count 300 | sort -u)" = 'the same line' ]
  done
}

@test "descriptors: as many as the user may have, not as few as they begin with" {
  [ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -gt 64 ]
  mkfifo input
  for verb in pub sub; do
    start none bash -c 'ulimit -Sn 64; exec "$1" "$2" t <>input' bash "$AYRE" "$verb"
    until_true peers "$verb" 1 t
    grep '^Max open files' "/proc/$pid/limits" >limits
    [ "$(awk '{ print ($4 == $5) }' limits)" = 1 ]
    [ "$(awk '{ print $4 }' limits)" != 64 ]
  done
}

@test "usage: forms exclude each other, numbers are numbers" {
  fails 2 "exclude each other" ayre pub t --lines --nul
  fails 2 "exclude each other" ayre sub t --frames --json
  fails 2 "--frames is about standard input" ayre pub t text --frames
  fails 2 "'-1' is not a number" ayre sub t --count=-1
  fails 2 "'x' is not a number" ayre pub t --wait-subscribers x
  fails 2 "1 or more" ayre sub t --count 0
  fails 2 "'1' is not a duration" ayre sub t --timeout 1
  [ ! -e "$AYRE_DIR/t" ]
}

@test "usage: what is missing is said in one line, which has the whole synopsis" {
  for verb in pub sub; do
    run --separate-stderr ayre $verb
    [ "$status" -eq 2 ]
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [ "$stderr" = "ayre: $verb: something is missing: $(ayre $verb --help | sed -n "1s/.*ayre $verb //p;2p" | tr -s '\n ' ' ' | sed 's/ $//')" ]
  done
}

@test "count: exactly so many, and the rest is left for others" {
  seq 1 1000 | ayre pub t
  [ "$(ayre sub t --count 700 | tail -n 1)" = 700 ]
  [ "$(ayre sub t --count 700 --json | tail -n 1 | jq -r .text)" = 700 ]
  fails_late() { ayre sub t --count 1001 --timeout 100ms | tail -n 1; return "${PIPESTATUS[0]}"; }
  run --separate-stderr fails_late
  [ "$status" -eq 124 ]
  [ "$output" = 1000 ]
  [[ "$stderr" == *"the deadline passed: no message came"* ]]
}

@test "until-closed: all that was seen have closed; not before there was one" {
  start out "$AYRE" sub t --until-closed
  until_true asleep 1 t
  mkfifo first second
  start none "$AYRE" pub t <>first
  one=$pid
  start none "$AYRE" pub t <>second
  two=$pid
  until_true peers pub 2 t
  echo from one >first
  until_true grep -q one out
  kill "$one"
  ends_with 143 "$one"
  echo from two >second
  until_true grep -q two out
  kill "$two"
  ends_with 143 "$two"
  ends_with 0 "${pids[0]}"
  nothing_but_content t
}

@test "until-closed: one that died, exit 3 and after which message" {
  mkfifo input
  start none "$AYRE" pub t <>input
  publisher=$pid
  printf 'a\nb\nc\n' >input
  until_true sh -c '[ "$("$1" topic show t --json | jq ".publishers[0].messages")" = 3 ]' sh "$AYRE"
  id=$(ayre topic show t --json | jq -r '.publishers[0].id')
  start out "$AYRE" sub t --until-closed
  until_true grep -q c out
  kill -KILL "$publisher"
  ends_with 3 "$pid"
  [ "$(cat out.err)" = "ayre: sub: t: publisher $id died without closing, after its message 2" ]
  # The next one of the lane goes on, and closes: nothing is lost any more.
  ayre pub t d
  [ "$(ayre sub t --until-closed | tr '\n' ' ')" = 'a b c d ' ]
}

@test "until-closed: one that died before its first message" {
  mkfifo input
  start none "$AYRE" pub t <>input
  publisher=$pid
  until_true peers pub 1 t
  start out "$AYRE" sub t --until-closed
  until_true asleep 1 t
  kill -KILL "$publisher"
  ends_with 3 "$pid"
  grep -q 'died without closing, before its first message' out.err
  [ ! -s out ]
}

@test "timeout: 124 and a line, for whoever waits in vain" {
  fails 124 "t: the deadline passed: no message came" ayre sub t --timeout 50ms
  fails 124 "t: the deadline passed: fewer than 2 subscribe" ayre pub t x --wait-subscribers 2 --timeout 50ms
  start out "$AYRE" sub t
  until_true asleep 1 t
  ayre pub t x --wait-subscribers 1 --timeout 5s
  until_true grep -q x out
  kill -STOP "$pid"
  fails 124 "t: the deadline passed: a subscriber made no room" \
    sh -c 'head -c 3000000 /dev/zero | "$1" pub t --frames --timeout 100ms' sh "$AYRE"
  head -c 5000000 /dev/urandom | tr '\0\n' xx | fold -w 999 >lines
  fails 124 "a subscriber made no room" ayre pub t --timeout 100ms <lines
  kill -CONT "$pid"
  # It counts from the last one that came.
  mkfifo input
  start slow "$AYRE" sub t --timeout 2s
  late=$pid
  until_true subscribed 2 t
  for i in 1 2 3 4; do
    ayre pub t "slow $i"
    sleep 0.6
  done
  ends_with 124 "$late"
  [ "$(grep -c slow slow)" -eq 4 ]
}

@test "wait-subscribers: the first message waits, so that nobody misses it" {
  start none "$AYRE" pub t one two --wait-subscribers 2
  publisher=$pid
  until_true peers pub 1 t
  start out1 "$AYRE" sub t --count 2 --from next
  one=$pid
  until_true asleep 1 t
  kill -0 "$publisher"
  start out2 "$AYRE" sub t --count 2 --from next
  ends_with 0 "$publisher"
  ends_with 0 "$one"
  ends_with 0 "$pid"
  [ "$(cat out1 out2 | sort | uniq -c | tr -s ' \n' ' ')" = ' 2 one 2 two ' ]
}

@test "lossy: publishers wait for nobody, and what was missed is counted" {
  ayre topic create t --size 4K --lossy
  start out "$AYRE" sub t --json --until-closed
  until_true asleep 1 t
  kill -STOP "$pid"
  seq 0 4999 | ayre pub t --timeout 100ms
  kill -CONT "$pid"
  ends_with 0 "$pid"
  missed=$(jq -s 'map(.missed // 0) | add' out)
  [ "$missed" -gt 4000 ]
  [ $(($(wc -l <out) + missed)) -eq 5000 ]
  [ "$(cat out.err)" = "ayre: sub: t: $missed messages were missed" ]
  [ "$(tail -n 1 out | jq -r .text)" = 4999 ]
  # None of them is torn, and each is where it belongs.
  [ "$(jq -r 'select(.text != (.sequence | tostring))' out)" = '' ]
}

@test "lossy, and a reader that is slow: what is written is whole" {
  ayre topic create t --size 16K --lossy
  cat >read.py <<'PYTHON'
import struct, sys, time
input = sys.stdin.buffer
count = 0
while True:
    header = input.read(4)
    if not header:
        break
    body = input.read(struct.unpack('<I', header)[0])
    assert body == body[:4] * (len(body) // 4), body
    count += 1
    if count % 50 == 1:
        time.sleep(0.005)
PYTHON
  start out bash -c 'set -o pipefail; "$1" sub t --frames --until-closed | python3 read.py' bash "$AYRE"
  until_true asleep 1 t
  python3 -c '
import struct, sys
for i in range(40000):
    sys.stdout.buffer.write(struct.pack("<I", 1000) + struct.pack("<I", i) * 250)' | ayre pub t --frames
  ends_with 0 "$pid"
  grep -Eq 'ayre: sub: t: [0-9]+ messages were missed' out.err
}

@test "--lossy: one subscriber that misses, of a topic that waits for the others" {
  ayre topic create t --size 4K
  start out "$AYRE" sub t --until-closed
  reliable=$pid
  start some "$AYRE" sub t --until-closed --lossy --frames
  lossy=$pid
  until_true asleep 2 t
  kill -STOP "$lossy"
  seq 0 4999 | ayre pub t
  kill -CONT "$lossy"
  ends_with 0 "$reliable"
  ends_with 0 "$lossy"
  seq 0 4999 | cmp - out
  grep -Eq 'ayre: sub: t: [0-9]+ messages were missed' some.err
  [ ! -s out.err ]
}

@test "input that pauses is sent before the pause" {
  mkfifo input
  start out "$AYRE" sub t
  until_true asleep 1 t
  for form in --lines --nul --frames; do
    exec 9<>input
    start none "$AYRE" pub t "$form" <input
    publisher=$pid
    case $form in
      --lines) printf 'now %s\nrest' $form >&9 ;;
      --nul) printf 'now %s\0rest' $form >&9 ;;
      --frames) printf '\014\000\000\000now --frames\004\000\000' >&9 ;;
    esac
    until_true grep -q -- "now $form" out
    kill "$publisher"
    ends_with 143 "$publisher"
    exec 9>&-
  done
  grep -q rest out && return 1
  true
}
