#!/usr/bin/env bats
# ayre fifo, from outside: two commands, or one and a program that knows nothing of ayre.

bats_require_minimum_version 1.5.0
load support

# in_background FILE COMMAND...: its standard output and error go to FILE.
in_background() {
  local file=$1
  shift
  # Not what the shell gives to those behind an "&".
  "$@" <&0 >"$file" 2>&1 3>&- &
  background=$!
}

ends_with() {
  local code=0
  wait "$background" || code=$?
  background=
  [ "$code" -eq "$1" ]
}

@test "create: the mode whatever the umask, once" {
  umask 077
  ayre fifo create pipe
  [ "$(stat -c '%F %a' pipe)" = 'fifo 600' ]
  fails 1 "ayre: fifo create: pipe: File exists" ayre fifo create pipe
  ayre fifo create open --mode 0622
  [ "$(stat -c '%F %a' open)" = 'fifo 622' ]
  fails 2 "'0777' is not a mode" ayre fifo create other --mode 0777
  fails 1 "No such file or directory" ayre fifo create none/pipe
}

@test "write and read: whoever comes first waits for the other" {
  ayre fifo create pipe
  head -c 3000000 /dev/urandom >bytes
  in_background out "$AYRE" fifo read pipe
  sleep 0.2
  ayre fifo write pipe <bytes
  ends_with 0
  cmp bytes out
  in_background said "$AYRE" fifo write pipe <bytes
  sleep 0.2
  ayre fifo read pipe >out
  ends_with 0
  cmp bytes out
  [ ! -s said ]
}

@test "write and read: with programs that know nothing of ayre" {
  mkfifo pipe
  in_background out cat pipe
  sleep 0.2
  echo hello | ayre fifo write pipe
  ends_with 0
  [ "$(cat out)" = hello ]
  in_background said "$AYRE" fifo write pipe <out
  sleep 0.2
  [ "$(cat pipe)" = hello ]
  ends_with 0
  in_background out "$AYRE" fifo read pipe
  sleep 0.2
  echo again >pipe
  ends_with 0
  [ "$(cat out)" = again ]
}

@test "write: an empty input waits for its reader, too, who sees an end" {
  mkfifo pipe
  in_background said "$AYRE" fifo write pipe </dev/null
  sleep 0.2
  kill -0 "$background"
  run timeout 5 cat pipe
  [ "$status" -eq 0 ]
  [ -z "$output" ]
  ends_with 0
}

@test "read: bytes come out as they come in" {
  mkfifo pipe
  in_background out "$AYRE" fifo read pipe
  exec 9>pipe
  printf 'first' >&9
  until_true grep -q first out
  printf 'second' >&9
  until_true grep -q firstsecond out
  exec 9>&-
  ends_with 0
}

@test "--timeout: 124 and one line, for whoever waits in vain" {
  mkfifo pipe
  fails 124 "pipe: the deadline passed: nothing came" ayre fifo read pipe --timeout 50ms
  fails 124 "pipe: the deadline passed: nobody reads it" ayre fifo write pipe --timeout 50ms <key
  in_background out "$AYRE" fifo read pipe --timeout 2s
  exec 9>pipe
  for _ in 1 2 3 4; do
    printf x >&9
    sleep 0.6
  done
  # Longer than that together, never so long at once; and now it is.
  kill -0 "$background"
  ends_with 124
  exec 9>&-
  [ "$(head -n 1 out | tr -d '\n' | cut -c 1-4)" = xxxx ]
  # A reader that does not read.
  exec 9<>pipe
  fails 124 "its reader made no room" sh -c 'head -c 1000000 /dev/zero | "$1" fifo write pipe --timeout 100ms' sh "$AYRE"
  exec 9<&-
}

@test "--timeout: what is a duration" {
  mkfifo pipe
  for word in 1us 1ms 0s 0m 0h; do
    fails 124 "deadline" ayre fifo read pipe --timeout "$word"
  done
  for word in '' 1 s 1.5s -1s +1s ' 1s' '1 s' 1S 1sec 1ns 0x1s 2562048h 99999999999999999999s; do
    fails 2 "'$word' is not a duration" ayre fifo read pipe "--timeout=$word"
  done
  # The longest there are.
  printf x | "$AYRE" fifo write pipe --timeout 2562047h 3>&- &
  [ "$(ayre fifo read pipe --timeout 9223372036s)" = x ]
  wait
}

@test "write: a reader that leaves in the middle is one line, exit 1" {
  mkfifo pipe
  in_background said sh -c 'head -c 10 pipe'
  fails 1 "pipe: its reader has left, after" \
    sh -c 'head -c 3000000 /dev/zero | "$1" fifo write pipe' sh "$AYRE"
  ends_with 0
}

@test "what is no named pipe, or missing, is one line and stays" {
  echo kept >file
  for verb in read write remove; do
    fails 1 "Type differs: it is no named pipe" ayre fifo "$verb" file <key
    fails 1 "Type differs: it is no named pipe" ayre fifo "$verb" . <key
  done
  [ "$(cat file)" = kept ]
  fails 1 "'ayre fifo create none' makes it" ayre fifo read none
  fails 1 "'ayre fifo create none' makes it" ayre fifo write none <key
  fails 1 "No such file or directory" ayre fifo remove none
}

@test "remove: the name goes, a waiting writer says so" {
  ayre fifo create pipe
  in_background said "$AYRE" fifo write pipe <key
  sleep 0.2
  ayre fifo remove pipe
  [ ! -e pipe ]
  ends_with 1
  grep -q 'it was removed, and nobody reads it' said
}

@test "streams: closed, full, a reader who has enough" {
  mkfifo pipe
  fails 1 "standard input: " sh -c '"$1" fifo write pipe <&-' sh "$AYRE"
  fails 1 "standard input: Is a directory" sh -c '"$1" fifo write pipe <.' sh "$AYRE"
  printf x | "$AYRE" fifo write pipe 3>&- &
  fails 1 "standard output: No space left on device" sh -c '"$1" fifo read pipe >/dev/full' sh "$AYRE"
  wait
  printf x | "$AYRE" fifo write pipe 3>&- &
  fails 1 "standard output: Bad file descriptor" sh -c '"$1" fifo read pipe >&-' sh "$AYRE"
  wait
  # It waits for bytes, and notices all the same that nobody wants them.
  run --separate-stderr timeout 5 bash -c 'set -o pipefail; "$1" fifo read pipe | true' bash "$AYRE"
  [ "$status" -eq 141 ]
  [ -z "$stderr" ]
}

@test "waiting costs next to no processor time" {
  mkfifo pipe
  in_background said "$AYRE" fifo write pipe <key
  until_true is_idle "$background"
}

@test "permissions: an ordinary user is told, and needs no more than they have to" {
  needs_root
  make_place
  cd "$place"
  ayre fifo create pipe --mode 0622
  fails 1 "pipe: Permission denied" as_user fifo read pipe
  in_background out "$AYRE" fifo read pipe
  sleep 0.1
  echo hello | as_user fifo write pipe
  ends_with 0
  [ "$(cat out)" = hello ]
  fails 1 "Permission denied" as_user fifo remove pipe
  fails 1 "Permission denied" as_user fifo create other
}
