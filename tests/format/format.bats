#!/usr/bin/env bats
# docs/FORMAT.md says enough: a reader and a creator that were written from it alone agree with
# the library, on its example, on segments of ayre's, on damaged ones, and while one is being made.
# Environment: AYRE, the command.

bats_require_minimum_version 1.5.0
load ../textbook/support

setup() {
  : "${AYRE:?the command}"
  cd "$BATS_TEST_TMPDIR"
  document=$BATS_TEST_DIRNAME/../../docs/FORMAT.md
  python=/usr/bin/python3
  pids=()
  # Nobody else's: an inode that is ours makes the key, a process id that is ours the name.
  key=$(printf '0x41%06x' $(($(stat -c %i .) & 0xffffff)))
  shm=ayre-format-$$
}

teardown() {
  stop "${pids[@]}"
  ipcrm -M "$key" -S "$(lock_key)" 2>/dev/null || true
  rm -f "/dev/shm/$shm"
}

read_segment() {
  "$python" "$BATS_TEST_DIRNAME/read_segment.py" "$@"
}

lock_key() {
  printf '0x%08x' $(((key * 2654435761 & 0xffffffff) ^ 0x65727961))
}

# block LANGUAGE: the lines of the document's block in it
block() {
  sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/ { /^\`\`\`/d; p }" "$document"
}

# The example of the document, as a file.
write_example() {
  block hex | "$python" -c '
import sys
with open("example", "wb") as example:
    for line in sys.stdin:
        offset, digits = line.split(":")
        example.seek(int(offset, 16))
        example.write(bytes.fromhex(digits))
'
}

# field NAME: of the JSON on standard input
field() {
  jq -r ".$1"
}

# make WORD...: starts make_segment.py; standard input of it is "go", what it says is in "said"
make() {
  mkfifo go
  "$python" "$BATS_TEST_DIRNAME/make_segment.py" "$@" <go >said 3>&- &
  maker=$!
  pids+=("$maker")
  exec 9>go
  eventually grep -q building said
}

let_finish() {
  echo >&9
  exec 9>&-
  wait "$maker"
}

let_die() {
  kill -KILL "$maker"
  exec 9>&-
  ! wait "$maker"
}

# start COMMAND...: beside the test; what it prints is in "printed"
start() {
  "$@" >printed 2>errors 3>&- 9>&- &
  started=$!
  pids+=("$started")
}

# Does a process wait for the semaphore of the key to become zero?
someone_waits_for_key() {
  local id
  id=$(ipcs -s | awk -v key="$(lock_key)" '$1 == key { print $2 }')
  [ -n "$id" ] && ipcs -s -i "$id" | awk '$1 == "0" && $4 == 1 { found = 1 } END { exit !found }'
}

# someone_waits_for_lock FILE
someone_waits_for_lock() {
  grep -q -- "-> FLOCK .*:$(stat -c %i "$1") " /proc/locks
}

@test "the example of the document reads as the document says" {
  write_example
  run -0 read_segment example
  diff <(block json | jq -S .) <(jq -S . <<<"$output")
}

@test "ayre reads the example, too" {
  write_example
  [ "$("$AYRE" segment read file:example --string)" = hello ]
  [ "$("$AYRE" segment read file:example | wc -c)" -eq 16 ]
  [ "$("$AYRE" segment show file:example --json | field tag)" = greeting/1 ]
}

@test "a typed file of ayre's is decoded" {
  "$AYRE" segment create file:typed --size 100 --tag "état 2"
  run -0 read_segment typed
  [ "$(field tag <<<"$output")" = "état 2" ]
  [ "$(field size_bytes <<<"$output")" -eq 100 ]
  [ "$(field header_bytes <<<"$output")" -eq $(($(stat -c %s typed) - 100)) ]
  [ $(($(date +%s) - $(field created_ns <<<"$output") / 1000000000)) -le 60 ]
}

@test "a typed POSIX segment of ayre's is decoded" {
  "$AYRE" segment create "shm:$shm" --size 3 --tag t
  run -0 read_segment "/dev/shm/$shm"
  [ "$(field tag <<<"$output")" = t ]
  [ "$(field size_bytes <<<"$output")" -eq 3 ]
}

@test "namesakes differ in their generation" {
  local first
  "$AYRE" segment create file:typed --size 1 --tag t
  first=$(read_segment typed | field generation)
  "$AYRE" segment remove file:typed
  "$AYRE" segment create file:typed --size 1 --tag t
  [ "$first" != "$(read_segment typed | field generation)" ]
}

@test "the longest tag, and one byte more" {
  local tag
  tag=$(printf 'x%.0s' {1..191})
  "$AYRE" segment create file:typed --size 1 --tag "$tag"
  [ "$(read_segment typed | field tag)" = "$tag" ]
  run ! "$AYRE" segment create file:longer --size 1 --tag "${tag}x"
  [ ! -e longer ]
}

@test "a raw segment is all data" {
  "$AYRE" segment create file:raw --size 5000
  [ "$(read_segment raw)" = '{"typed": false, "size_bytes": 5000}' ]
}

@test "growing changes the size of the data and nothing of the header" {
  local before
  "$AYRE" segment create file:typed --size 10 --tag t
  before=$(read_segment typed)
  "$AYRE" segment resize file:typed 1M
  diff <(jq '.size_bytes = 1048576' <<<"$before") <(read_segment typed | jq .)
}

# What both readers say of "changed": "typed", "raw" or "refused" if they agree, also on the size.
both() {
  local said size word=typed
  size=$(set -o pipefail && "$AYRE" segment read file:changed 2>errors | wc -c) ||
    size=$(grep -q "its header" errors && echo refused)
  said=$(read_segment changed 2>/dev/null) || said='"size_bytes": refused' word=refused
  [[ $said != *'"typed": false'* ]] || word=raw
  if [[ $said == *"\"size_bytes\": $size"?(\}) ]]; then
    echo "$word"
  else
    echo "ayre: $size; read_segment.py: $said"
  fi
}

# judged WORD [OFFSET BYTES]...: the example with other bytes there
judged() {
  local word=$1 change=("${@:2}")
  cp example changed
  while [ $# -ge 3 ]; do
    printf '%b' "$3" | dd of=changed bs=1 seek="$2" conv=notrunc status=none
    shift 2
  done
  run -0 both
  echo "${change[*]}: $output"
  [ "$output" = "$word" ]
}

@test "both readers judge a changed header alike" {
  write_example
  judged typed 0 AYRE
  judged raw 0 X                        # magic
  judged raw 7 X
  judged refused 8 '\x02'               # version
  judged refused 8 '\x00'
  judged refused 11 '\x01'
  judged refused 12 '\x00\x00'          # header_bytes
  judged refused 12 '\x01'
  judged refused 13 '\x08'
  judged refused 13 '\x20'              # more than there is
  judged refused 15 '\x80'
  judged typed 16 '\xff\xff\xff\xff'    # compatible_features
  judged refused 20 '\x01'              # incompatible_features
  judged refused 23 '\x80'
  judged typed 24 '\xff\xff\xff\xff\xff\xff\xff\xff' # created_ns
  judged typed 32 '\x00\x00\x00\x00'    # generation
  judged refused 48 '\x00'              # tag_bytes
  judged refused 48 '\x09'
  judged refused 48 '\x0b'
  judged refused 48 '\xc0'
  judged refused 51 '\x01'
  judged typed 48 '\xbf' 64 "$(printf 'x%.0s' {1..191})"
  judged refused 48 '\xc0' 64 "$(printf 'x%.0s' {1..192})"
  judged typed 52 '\xff'                # reserved
  judged refused 64 '\x00'              # tag
  judged refused 74 'x'
  judged typed 75 'x'
  judged typed 300 'x'
}

@test "both readers judge a shortened segment alike" {
  local size
  write_example
  for size in 4097 4096 4095 257 256 255 8 7 1; do
    head -c "$size" example >changed
    run -0 both
    echo "$size bytes: $output"
    case $size in
      4097 | 4096) [ "$output" = typed ] ;;
      4095 | 257 | 256) [ "$output" = refused ] ;;
      *) [ "$output" = raw ] ;;
    esac
  done
}

@test "somebody else's creation of a file is not there until it is whole" {
  make file "$PWD/made" theirs/1 "from elsewhere"
  run -1 "$AYRE" segment read file:made
  let_finish
  [ "$("$AYRE" segment read file:made --string)" = "from elsewhere" ]
  [ "$("$AYRE" segment show file:made --json | field tag)" = theirs/1 ]
}

@test "somebody else's creation under the lock: ayre waits for it, and takes it" {
  make locked "$PWD/made" theirs/1 "from elsewhere"
  start "$AYRE" segment create file:made --size 1M --tag theirs/1
  eventually someone_waits_for_lock .made.ayre-creating
  run -1 "$AYRE" segment read file:made
  let_finish
  # It asks for more than there is: the segment is theirs.
  status=0
  wait "$started" || status=$?
  [ "$status" -eq 1 ]
  grep -q "it holds 15 bytes" errors
  [ "$("$AYRE" segment read file:made --string)" = "from elsewhere" ]
  [ ! -e .made.ayre-creating ]
}

@test "somebody else dies while creating under the lock: ayre takes over at once" {
  make locked "$PWD/made" theirs/1 "never to be seen"
  start "$AYRE" segment create file:made --size 1M --tag ours/1
  eventually someone_waits_for_lock .made.ayre-creating
  let_die
  wait "$started"
  [ "$(read_segment made | field tag)" = ours/1 ]
  [ "$(tail -c 1M made | tr -d '\0' | wc -c)" -eq 0 ]
  [ ! -e .made.ayre-creating ]
}

@test "somebody else's creation of a System V segment: ayre waits for its end" {
  make sysv "$key" theirs/1 "from elsewhere"
  start "$AYRE" segment read "sysv:$key" --string
  eventually someone_waits_for_key
  [ ! -s printed ]
  let_finish
  wait "$started"
  [ "$(cat printed)" = "from elsewhere" ]
  [ "$("$AYRE" segment show "sysv:$key" --json | field tag)" = theirs/1 ]
}

@test "somebody else dies while creating a System V segment: ayre creates it anew" {
  make sysv "$key" theirs/1 "never to be seen"
  start "$AYRE" segment create "sysv:$key" --size 50 --tag ours/1
  eventually someone_waits_for_key
  let_die
  wait "$started"
  [ "$("$AYRE" segment show "sysv:$key" --json | field tag)" = ours/1 ]
  [ "$("$AYRE" segment read "sysv:$key" | tr -d '\0' | wc -c)" -eq 0 ]
}

@test "who only wants to open a System V segment of a dead creator finds none" {
  make sysv "$key" theirs/1 "never to be seen"
  let_die
  run -1 "$AYRE" segment read "sysv:$key"
  run -1 table_line "$key"
}

@test "ayre's creation of a System V segment ends its mark and leaves no lock" {
  "$AYRE" segment create "sysv:$key" --size 50 --tag ours/1 --mode 0640
  [[ $(table_line "$key") == "640 "* ]]
  [ -z "$(ipcs -s | awk -v key="$(lock_key)" '$1 == key')" ]
}
