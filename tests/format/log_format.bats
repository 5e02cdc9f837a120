#!/usr/bin/env bats
# docs/FORMAT.md says enough of topics on a disk: a reader that was written from it alone agrees with the library, on
# the page's example, on logs that are cut and flipped, and beside a publisher.
# Environment: AYRE, the command.

bats_require_minimum_version 1.5.0
load ../textbook/support

setup() {
  : "${AYRE:?the command}"
  cd "$BATS_TEST_TMPDIR"
  [ "$(stat -f -c %T .)" != tmpfs ] || skip "$PWD is on a tmpfs, not on a disk"
  document=$BATS_TEST_DIRNAME/../../docs/FORMAT.md
  python=/usr/bin/python3
  topic=$PWD/topic
  pids=()
}

teardown() {
  stop "${pids[@]}"
  "$AYRE" topic remove --force "$topic" 2>/dev/null || true
}

read_log() {
  "$python" "$BATS_TEST_DIRNAME/read_log.py" "$@"
}

# block WORDS: the lines of the document's block that begins with them
block() {
  sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/ { /^\`\`\`/d; p }" "$document"
}

# bytes_of WORDS FILE SIZE
bytes_of() {
  block "$1" | "$python" -c '
import sys
with open(sys.argv[1], "wb") as file:
    file.truncate(int(sys.argv[2]))
    for line in sys.stdin:
        offset, digits = line.split(":")
        file.seek(int(offset, 16))
        file.write(bytes.fromhex(digits))
' "$2" "$3"
}

# The example of the document. Its user is 0: here it is whoever runs the test.
write_example() {
  # With its half in memory.
  "$AYRE" topic remove --force "$topic" 2>/dev/null || true
  rm -rf "$topic"
  mkdir -m 0700 "$topic"
  bytes_of 'hex log topic' "$topic/topic" 512
  name() { sed -n "s/^\`\(log\.[0-9a-f.]*\)\`$1.*/\1/p" "$document"; }
  bytes_of 'hex log slots' "$topic/$(name ':')" 8192
  first=$topic/$(name ', which has 8296')
  second=$topic/$(name ', of 73728')
  bytes_of 'hex log first' "$first" 8296
  bytes_of 'hex log second' "$second" 73728
  beside=$topic/$(sed -n 's/^Beside them lies `\(pub\.[0-9a-f.]*\)`, .*/\1/p' "$document")
  head -c 1100 /dev/zero | tr '\0' x >"$beside"
  "$python" -c '
import struct, sys
with open(sys.argv[1], "r+b") as file:
    data = bytearray(file.read())
    struct.pack_into("<I", data, 64, int(sys.argv[2]))
    total = 0xCBF29CE484222325
    for byte in data[:504]:
        total = (total ^ byte) * 0x100000001B3 % 2**64
    struct.pack_into("<Q", data, 504, total)
    file.seek(0)
    file.write(data)
' "$topic/topic" "$(id -u)"
}

shortened() {
  jq -S 'if .size_bytes == 1100 then .text = .text[:4] + "..." else . end'
}

# flip FILE OFFSET
flip() {
  "$python" -c '
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(int(sys.argv[2], 0))
    byte = file.read(1)[0]
    file.seek(int(sys.argv[2], 0))
    file.write(bytes([byte ^ 0x20]))
' "$@"
}

# What both say that there is, in the same words.
theirs() {
  "$AYRE" sub "$topic" --until-closed --json 2>errors | jq -c '[.sequence, .time_ns, .text // .base64]'
}

ours() {
  read_log dump "$topic" | jq -c 'select(.size_bytes != null) | [.sequence, .time_ns, .text // .base64]'
}

@test "the example of the document reads as the document says" {
  write_example
  read_log show "$topic" >said
  read_log dump "$topic" >>said
  diff <(block 'json log' | jq -S .) <(shortened <said)
}

@test "ayre reads the example, too, and publishes on in it" {
  write_example
  diff <(ours) <(theirs)
  "$AYRE" pub "$topic" more
  [ "$(ours | tail -n 1 | jq -r '.[2]')" = more ]
  [ "$(ours | wc -l)" -eq 4 ]
}

# judged WHICH OFFSET: both find the same messages, and damage, where a byte of an extent is another one.
judged() {
  local -A files
  write_example
  files=([first]=$first [second]=$second)
  flip "${files[$1]}" "$2"
  run -1 read_log dump "$topic"
  ours >ours
  theirs >theirs || true
  echo "$1, $2: ours $(wc -l <ours), theirs $(wc -l <theirs): $(cat errors)"
  diff <(jq -c '.[1:]' ours) <(jq -c '.[1:]' theirs)
  run -1 "$AYRE" topic verify "$topic"
}

@test "both readers judge a changed record alike" {
  local at
  # Headers, checks, stamps, texts; of a message, of one that is closed, of one beside the ring.
  for at in 0x2000 0x2005 0x2008 0x2010 0x2018 0x2028 0x2040 0x2050; do
    judged first "$at"
  done
  for at in 0x2000 0x2018 0x2028; do
    judged second "$at"
  done
}

@test "both readers judge a changed head alike" {
  local at
  for at in 0 40 56 500; do
    judged first "$at"
    judged second "$at"
  done
}

@test "an index that is damaged makes no difference, nor a slot that is older" {
  write_example
  flip "$first" 0x1000
  flip "$second" 0x1008
  diff <(ours) <(theirs)
  [ "$(ours | wc -l)" -eq 3 ]
  flip "$topic"/log.???????????????? 0x1000
  diff <(ours) <(theirs)
  [ "$(ours | wc -l)" -eq 3 ]
}

@test "a file beside the ring is what was sent, or damage" {
  write_example
  flip "$beside" 500
  run read_log dump "$topic"
  [ "$status" -eq 1 ]
  [ "$(jq -c 'select(.size_bytes != null) | .sequence' <<<"$output" | tr '\n' ' ')" = '0 2 ' ]
}

@test "records of every length that XXH3 tells apart are whole" {
  "$python" -c '
import random, struct, sys
random.seed(7)
for size in list(range(600)) + [1007, 1008, 1009, 100000, 0]:
    sys.stdout.buffer.write(struct.pack("<I", size) + random.randbytes(size))
' >frames
  "$AYRE" topic create "$topic" --size 4K --extent 64K
  "$AYRE" pub "$topic" --frames <frames
  read_log dump "$topic" >dumped
  "$python" -c '
import base64, json, struct, sys
for line in open("dumped"):
    one = json.loads(line)
    data = one["text"].encode() if "text" in one else base64.b64decode(one["base64"])
    sys.stdout.buffer.write(struct.pack("<I", len(data)) + data)
' | cmp - frames
  [ "$(read_log show "$topic" | grep -c '"extent"')" -gt 2 ]
}

@test "beside a publisher: what is safe is there" {
  "$AYRE" topic create "$topic"
  mkfifo feed
  "$AYRE" pub "$topic" <feed 3>&- 9>&- &
  pids+=($!)
  exec 9>feed
  for number in 1 2 3; do
    echo "$number" >&9
    is_there() { [ "$(read_log dump "$topic" | jq -r .text)" = "$(seq "$number")" ]; }
    eventually is_there
  done
  exec 9>&-
  wait "${pids[0]}"
  [ "$(read_log show "$topic" | jq 'select(.log) | .closed')" = true ]
}

@test "a log cut in its last records: what is whole stays, in the eyes of both" {
  local size
  for ((size = 8244; size >= 8192; size -= 7)); do
    write_example
    truncate -s "$size" "$second"
    ours >ours 2>/dev/null || true
    theirs >theirs || true
    diff ours theirs
    [ "$(wc -l <ours)" -ge 2 ]
  done
}
