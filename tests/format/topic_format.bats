#!/usr/bin/env bats
# docs/FORMAT.md says enough of topics: a reader that was written from it alone agrees with the library, on
# the page's example, on damaged ones, and beside publishers that live, die, wait for it and overtake it.
# Environment: AYRE, the command.

bats_require_minimum_version 1.5.0
load ../textbook/support

setup() {
  : "${AYRE:?the command}"
  cd "$BATS_TEST_TMPDIR"
  document=$BATS_TEST_DIRNAME/../../docs/FORMAT.md
  python=/usr/bin/python3
  pids=()
  # Nobody else's: a process id that is ours makes the name.
  export AYRE_DIR=/dev/shm/ayre-topic-format-$$-$BATS_TEST_NUMBER
  mkdir -m 0700 "$AYRE_DIR"
  topic=$AYRE_DIR/topic
}

teardown() {
  stop "${pids[@]}"
  rm -rf "$AYRE_DIR"
}

read_topic() {
  "$python" "$BATS_TEST_DIRNAME/read_topic.py" "$@"
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

# put OFFSET FORMAT VALUE [kept]: changes the file `topic`, and its checksum unless that is to be kept
put() {
  "$python" -c '
import struct, sys
path, offset, form, value = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4], 0)
with open(path, "r+b") as file:
    data = bytearray(file.read())
    struct.pack_into("<" + form, data, offset, value)
    total = 0xCBF29CE484222325
    for byte in data[:504]:
        total = (total ^ byte) * 0x100000001B3 % 2**64
    if len(sys.argv) == 5:
        struct.pack_into("<Q", data, 504, total)
    file.seek(0)
    file.write(data)
' "$topic/topic" "$@"
}

# The example of the document. Its user is 0: here it is whoever runs the test.
write_example() {
  rm -rf "$topic"
  mkdir -m 0700 "$topic"
  lane=$(sed -n 's/^The lane `\(pub\.[0-9a-f]*\)`:$/\1/p' "$document")
  beside=$(sed -n 's/^And `\(pub\.[0-9a-f.]*\)`, which .*/\1/p' "$document")
  bytes_of 'hex topic' "$topic/topic" 512
  bytes_of 'hex lane' "$topic/$lane" 8192
  head -c 1100 /dev/zero | tr '\0' x >"$topic/$beside"
  head -c 8 /dev/zero >"$topic/join"
  put 64 I "$(id -u)"
}

# What the example says, in the shape of the document: the long text is cut.
shortened() {
  jq -S 'if .size_bytes == 1100 then .text = .text[:4] + "..." else . end'
}

# start NAME COMMAND...: beside the test; what it prints is in NAME.out and NAME.err
start() {
  "${@:2}" >"$1.out" 2>"$1.err" 3>&- 9>&- &
  started=$!
  pids+=("$started")
}

follow() {
  start reader "$python" "$BATS_TEST_DIRNAME/read_topic.py" follow "$@" "$topic"
  reader=$started
  eventually grep -q subscribed reader.err
}

# ends PID STATUS
ends() {
  local status=0
  wait "$1" || status=$?
  echo "status $status"
  [ "$status" -eq "$2" ]
}

# A publisher that is fed by descriptor 9.
start_publisher() {
  mkfifo feed
  "$AYRE" pub topic <feed >publisher.out 2>publisher.err 3>&- &
  publisher=$!
  pids+=("$publisher")
  exec 9>feed
}

# last FIELD: of what the reader said at its end
last() {
  tail -n 1 reader.err | jq ".$1"
}

# make_frames COUNT LONGEST: each is its number, again and again, eight bytes long each time
make_frames() {
  "$python" -c '
import random, struct, sys
count, longest = int(sys.argv[1]), int(sys.argv[2])
random.seed(count)
for number in range(count):
    data = struct.pack("<Q", number) * random.randint(1, longest // 8)
    sys.stdout.buffer.write(struct.pack("<I", len(data)) + data)
' "$@" >frames
}

# Nothing torn, nothing twice, nothing out of order: how many frames there are.
judge_frames() {
  "$python" -c '
import struct, sys
last, count, file = -1, 0, sys.stdin.buffer
while head := file.read(4):
    data = file.read(struct.unpack("<I", head)[0])
    words = set(struct.unpack(f"<{len(data) // 8}Q", data))
    assert len(words) == 1, f"torn: {words}"
    number = words.pop()
    assert number > last, f"{number} after {last}"
    last, count = number, count + 1
print(count)
' <"$1"
}

@test "the example of the document reads as the document says" {
  write_example
  read_topic show "$topic" >said
  read_topic dump "$topic" >>said
  diff <(block 'json topic' | jq -S .) <(shortened <said)
}

@test "ayre reads the example, too" {
  write_example
  "$AYRE" sub "$topic" --from oldest --until-closed --json >said
  diff <(block 'json topic' | jq -S 'select(.sequence != null)') <(shortened <said)
  [ "$("$AYRE" topic show "$topic" --json | jq -r .tag)" = greeting/1 ]
}

# judged STATUS [WORD]...: what both readers think of the example, changed by put WORD...
judged() {
  local status=0 theirs=0
  write_example
  [ $# -eq 1 ] || put "${@:2}"
  read_topic dump "$topic" >/dev/null 2>errors || status=$?
  "$AYRE" sub "$topic" --from oldest --until-closed --json >/dev/null 2>>errors || theirs=$?
  echo "${*:2}: $status, ayre $theirs: $(cat errors)"
  [ "$status" -eq "$1" ]
  [ "$theirs" -eq "$1" ]
}

@test "both readers judge a changed description alike" {
  judged 0
  judged 1 0 B 0x58                  # magic
  judged 1 8 I 2                     # version
  judged 1 12 I 4097                 # header_bytes
  judged 1 12 I 0
  judged 0 16 I 0xffffffff           # compatible_features
  judged 1 20 I 1                    # incompatible_features
  judged 0 24 Q 0                    # created_ns
  judged 1 48 Q 4095                 # ring_bytes
  judged 1 48 Q 2048
  judged 1 60 I 0x81a4               # mode
  judged 1 64 I $(($(id -u) + 1))    # uid
  judged 1 72 I 192                  # tag_bytes
  judged 1 72 I 9
  judged 1 100 B 1 kept              # checksum
}

@test "a lane of another topic does not count" {
  write_example
  put 32 B 0 # generation
  [ "$(read_topic show "$topic" | jq -r 'select(.pub) | .refused')" = "it is no lane of this topic" ]
  [ "$("$AYRE" topic show "$topic" --json | jq '.publishers[0].problem')" != null ]
}

# Records: a header word at an offset of the lane's file, and how many messages come before it is refused.
record() {
  write_example
  printf '%b' "$2" | dd of="$topic/$lane" bs=1 seek=$((0x$1)) conv=notrunc status=none
  run read_topic follow "$topic"
  echo "$1 $2: $output"
  [ "$status" -eq "$3" ]
  run "$AYRE" sub "$topic" --from oldest --until-closed --json
  echo "ayre: $output"
  [ "$status" -ne 0 ]
}

@test "a record that breaks the format is refused" {
  record 1000 '\x05\x00\x00\x00\x04' 1          # kind
  record 1000 '\x05\x00\x00\x00\x01\x02' 1      # flags
  record 1000 '\x05\x00\x00\x00\x01\x00\x01' 1  # the rest
  record 1000 '\x01\x04\x00\x00\x01' 1          # longer than a quarter
  record 1010 '\x07\x00\x00\x00\x02' 1          # too short for a size
  record 1018 '\x4d\x04' 1                      # a larger size than the file's
}

# `beside` is the word at 168 of the lane.
@test "a file beside the ring is as long as its message, or longer, and none if it is a spare" {
  write_example
  printf more >>"$topic/$beside"
  read_topic dump "$topic" | shortened | grep -q '"size_bytes": 1100'
  "$AYRE" sub "$topic" --from oldest --until-closed --json | jq .size_bytes >said
  grep -qx 1100 said
  truncate -s 1M "$topic/$beside"
  read_topic dump "$topic" | shortened | grep -q '"size_bytes": 1100'
  position=0x${beside##*.}
  for behind in 0 1; do
    write_example
    "$python" -c '
import struct, sys
with open(sys.argv[1], "r+b") as file:
    file.seek(168)
    file.write(struct.pack("<Q", int(sys.argv[2], 0) + int(sys.argv[3])))
' "$topic/$lane" "$position" "$behind"
    [ "$(read_topic dump "$topic" | shortened | grep -c '"size_bytes": 1100')" -eq $((1 - behind)) ]
    "$AYRE" sub "$topic" --from oldest --until-closed --json | jq .size_bytes >said
    [ "$(grep -cx 1100 said)" -eq $((1 - behind)) ]
  done
}

@test "messages of every length arrive as they were sent" {
  "$python" -c '
import random, struct, sys
random.seed(4)
for size in [0, 1, 7, 8, 9, 55, 56, 57, 2048, 2049, 100000, 0] + [random.randrange(3000) for _ in range(2000)]:
    sys.stdout.buffer.write(struct.pack("<I", size) + random.randbytes(size))
' >frames
  "$AYRE" topic create topic --size 8K
  follow --frames
  "$AYRE" pub topic --frames --wait-subscribers 1 <frames
  ends "$reader" 0
  cmp frames reader.out
  [ "$(last received)" -eq 2012 ]
  [ "$(last missed)" -eq 0 ]
  [ "$(ls "$topic" | grep -c sub)" -eq 0 ]
}

@test "a publisher waits for a slow reader, and is woken by it" {
  make_frames 1500 200
  "$AYRE" topic create topic --size 4K
  follow --frames --slowly
  "$AYRE" pub topic --frames --wait-subscribers 1 --timeout 20s <frames
  ends "$reader" 0
  cmp frames reader.out
}

@test "a reader that sleeps is woken by each message, and by a publisher that comes" {
  "$AYRE" topic create topic
  follow
  is_asleep() { read_topic show "$topic" | jq -e 'select(.asleep)' >/dev/null; }
  eventually is_asleep
  start_publisher
  for word in one two three; do
    echo "$word" >&9
    eventually grep -q "\"text\": \"$word\"" reader.out
    eventually is_asleep
  done
  exec 9>&-
  ends "$publisher" 0
  ends "$reader" 0
  [ "$(wc -l <reader.out)" -eq 3 ]
}

@test "who publishes and subscribes, and who of them lives" {
  "$AYRE" topic create topic
  start_publisher
  echo first >&9
  follow
  eventually grep -q first reader.out
  read_topic show "$topic" | jq -s . >said
  [ "$(jq -c '[.[] | select(.publisher) | .alive, .closed, .messages]' said)" = '[true,false,1]' ]
  [ "$(jq -c '[.[] | select(.subscriber) | .alive, .lanes[0].received]' said)" = '[true,1]' ]
  [ "$("$AYRE" topic show topic --json | jq .subscriber_live_count)" -eq 1 ]
  kill -KILL "$publisher"
  ends "$publisher" 137
  ends "$reader" 3
  [ "$(last closed)" = false ]
  [ "$(read_topic show "$topic" | jq 'select(.publisher) | .alive')" = false ]
}

@test "what a killed publisher had sent is there, and the next one goes on in its lane" {
  "$AYRE" topic create topic
  start_publisher
  seq 100 >&9
  has_hundred() { [ "$(read_topic dump "$topic" | wc -l)" -eq 100 ]; }
  eventually has_hundred
  kill -KILL "$publisher"
  ends "$publisher" 137
  exec 9>&-
  "$AYRE" pub topic more
  [ "$(ls "$topic" | grep -cx 'pub\.[0-9a-f]*')" -eq 1 ]
  [ "$(read_topic dump "$topic" | jq -r .text)" = "$(seq 100; echo more)" ]
  [ "$(read_topic dump "$topic" | jq .sequence)" = "$(seq 0 100)" ]
}

@test "overtaken at full speed: nothing torn, and all that is missed is counted" {
  make_frames 400000 400
  "$AYRE" topic create topic --lossy --size 64K
  follow --frames --lossy
  "$AYRE" pub topic --frames --wait-subscribers 1 <frames
  ends "$reader" 0
  received=$(judge_frames reader.out)
  echo "$received received, $(last missed) missed"
  [ "$received" -eq "$(last received)" ]
  [ "$(last missed)" -gt 0 ]
  [ $((received + $(last missed))) -eq 400000 ]
}

# Messages of a dump: of each, the same eight bytes again and again.
judge_dump() {
  "$python" -c '
import base64, json, sys
for line in sys.stdin:
    message = json.loads(line)
    text = message.get("text")
    data = text.encode() if text is not None else base64.b64decode(message["base64"])
    assert len({data[i:i + 8] for i in range(0, len(data), 8)}) == 1, f"torn: {line}"
'
}

@test "looked at from outside at full speed: nothing torn" {
  make_frames 400000 400
  "$AYRE" topic create topic --lossy --size 16K
  start publisher "$AYRE" pub topic --frames <frames
  while kill -0 "$started" 2>/dev/null; do
    read_topic dump "$topic" >dumped
    judge_dump <dumped
  done
  ends "$started" 0
  read_topic dump "$topic" | judge_dump
}

@test "of more publishers than a page of a cursor has room for, all is read" {
  "$AYRE" topic create topic --size 4K
  follow
  mkfifo hold
  for ((i = 0; i < 62; i++)); do
    { echo "from $i" && cat hold; } 3>&- 9>&- | "$AYRE" pub topic 3>&- 9>&- &
  done
  exec 9>hold
  has_all() { [ "$(wc -l <reader.out)" -eq 62 ]; }
  eventually has_all
  [ "$("$AYRE" topic show topic --json | jq '.subscribers | length')" -eq 1 ]
  [ "$(read_topic show "$topic" | jq '.lanes | length | select(. > 0)')" -eq 62 ]
  exec 9>&-
  ends "$reader" 0
  [ "$(jq -r .text reader.out | sort -u | wc -l)" -eq 62 ]
}
