#!/usr/bin/env bats
# ayre segment, from outside: INTERFACE's contract, verb by verb, on every backing.

bats_require_minimum_version 1.5.0
load support

# Every named backing: runs its arguments with $1 the segment's name.
on_each_backing() {
  for segment in "$name" "shm:$name" "./$name" "file:$PWD/$name" "$sysv:R" "$sysv"; do
    "$@" "$segment" || { echo "with $segment"; return 1; }
    ayre segment remove "$segment" || return
  done
}

round_trip() {
  ayre segment create "$1" --size 64 &&
    ayre segment write "$1" 'hello, world' &&
    [ "$(ayre segment read "$1" --string)" = 'hello, world' ] &&
    [ "$(ayre segment read "$1" | wc -c)" -eq 64 ] &&
    [ "$(ayre segment read "$1" --offset 7 --length 5)" = world ]
}

@test "create, write, read, remove" {
  on_each_backing round_trip
}

writes_by_itself() {
  ayre segment write "$1" text &&
    [ "$(ayre segment read "$1" | wc -c)" -eq 1024 ] &&
    [ "$(ayre segment read "$1" --string)" = text ]
}

@test "write makes a missing segment of 1K" {
  on_each_backing writes_by_itself
}

@test "write makes a missing segment as large as the text and its NUL" {
  text=$(printf '%2000s' end)
  ayre segment write "./$name" "$text"
  [ "$(stat -c %s "$name")" -eq 2001 ]
  rm "$name"
  ayre segment write "./$name" text --size 5
  [ "$(stat -c %s "$name")" -eq 5 ]
  [ "$(od -An -c "$name" | tr -d ' ')" = 'text\0' ]
}

@test "write from standard input writes the bytes as they are" {
  head -c 3000 /dev/urandom >bytes
  ayre segment write "./$name" <bytes
  cmp bytes "$name"
  printf 'XY' | ayre segment write "./$name" --offset 1
  [ "$(head -c 4 "$name" | tail -c 3 | head -c 2)" = XY ]
  [ "$(stat -c %s "$name")" -eq 3000 ]
  # A pipe that brings its bytes in pieces.
  { printf a; sleep 0.1; printf b; } | ayre segment write "./$name"
  [ "$(head -c 2 "$name")" = ab ]
}

@test "what does not fit is an error and changes nothing" {
  ayre segment write "./$name" before --size 8
  cp "$name" copy
  fails 1 "does not fit" ayre segment write "./$name" 12345678
  fails 1 "does not fit" ayre segment write "./$name" x --offset 8
  fails 1 "does not fit" ayre segment write "./$name" x --offset 1T
  fails 1 "does not fit" sh -c 'head -c 9 /dev/zero | "$1" segment write "./$2"' sh "$AYRE" "$name"
  fails 1 "Size does not fit" ayre segment write "./$name" x --size 9
  cmp "$name" copy
  fails 1 "does not fit" ayre segment write ./new 12345678 --size 8
  [ ! -e new ]
  ayre segment write "./$name" 1234567
}

@test "read: ranges" {
  printf '0123456789' | ayre segment write "./$name" --size 10
  [ "$(ayre segment read "./$name" --offset 10 | wc -c)" -eq 0 ]
  [ "$(ayre segment read "./$name" --offset 3 --length 0 | wc -c)" -eq 0 ]
  [ "$(ayre segment read "./$name" --offset 9)" = 9 ]
  # No NUL in it: the whole of it.
  [ "$(ayre segment read "./$name" --string)" = 0123456789 ]
  fails 1 "10 bytes" ayre segment read "./$name" --offset 11
  fails 1 "10 bytes" ayre segment read "./$name" --offset 5 --length 6
}

@test "read prints the bytes and not one more" {
  ayre segment write "$name" text
  [ "$(ayre segment read "$name" --string | wc -c)" -eq 4 ]
  head -c 700000 /dev/urandom >bytes
  ayre segment write ./large <bytes
  ayre segment read ./large | cmp - bytes
}

@test "an empty file reads as nothing" {
  : >empty
  [ "$(ayre segment read ./empty | wc -c)" -eq 0 ]
  fails 1 "does not fit" ayre segment write ./empty x
}

sees_changes() {
  ayre segment write "$1" one
  "$AYRE" segment read "$1" --string --follow >seen 2>said &
  background=$!
  until_true grep -qx one seen &&
    ayre segment write "$1" two &&
    until_true grep -qx two seen &&
    ayre segment remove "$1" &&
    until_true grep -q 'it was removed' said &&
    wait "$background" &&
    background= &&
    [ "$(cat seen)" = "$(printf 'one\ntwo')" ] &&
    ayre segment create "$1" --size 1
}

@test "read --follow prints again whenever the content changes, until it is removed" {
  on_each_backing sees_changes
}

@test "read --follow sees stores through a map" {
  command -v /usr/bin/python3 >/dev/null || skip "no python3"
  ayre segment write "./$name" one --size 20
  "$AYRE" segment read "./$name" --string --follow >seen 2>&1 &
  background=$!
  until_true grep -qx one seen
  /usr/bin/python3 -c '
import mmap, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 20) as map:
    map[0:3] = b"two"' "$name"
  until_true grep -qx two seen
}

@test "read --follow costs next to no processor time" {
  ayre segment write "$sysv" text
  "$AYRE" segment read "$sysv" --string --follow >/dev/null &
  background=$!
  until_true is_idle "$background"
}

@test "a file that is cut short is an error and no crash" {
  ayre segment create "./$name" --size 1M
  "$AYRE" segment read "./$name" --follow >/dev/null 2>said &
  background=$!
  sleep 0.2
  truncate -s 4096 "$name"
  run wait "$background"
  until_true grep -q 'cut it short' said
  background=
}

@test "create: exactly the size, the mode whatever the umask, zeros" {
  umask 077
  ayre segment create "./$name" --size 20
  [ "$(stat -c '%s %a' "$name")" = '20 644' ]
  [ "$(tr -d '\0' <"$name" | wc -c)" -eq 0 ]
  ayre segment create ./other --size 4097 --mode 0600
  [ "$(stat -c '%s %a' other)" = '4097 600' ]
  ayre segment create "$name" --size 5 --mode 640
  [ "$(stat -c '%s %a' "/dev/shm/$name")" = '5 640' ]
  ayre segment create "$sysv" --size 1000 --mode 0660
  ayre segment list --json | jq -e --arg key "$(ayre segment show "$sysv" --json | jq -r .key)" \
    '.segments[] | select(.key == $key) | .size_bytes == 1000 and .mode == "0660"'
}

@test "create: again is no error unless exclusive, and says so" {
  for segment in "$name" "./$name" "$sysv"; do
    ayre segment create "$segment" --size 100 --exclusive
    ayre segment write "$segment" kept
    run --separate-stderr ayre segment create "$segment" --size 100
    [ "$status" -eq 0 ]
    [[ "$stderr" == *"it was there already, with 100 bytes"* ]]
    fails 1 "File exists" ayre segment create "$segment" --size 100 --exclusive
    fails 1 "it holds 100 bytes, and 200 were asked for" ayre segment create "$segment" --size 200
    [ "$(ayre segment read "$segment" --string)" = kept ]
  done
}

@test "create: bad modes and tags" {
  for mode in 0 0000 0777 8 644x -1 00644 ''; do
    fails 2 "'$mode' is not a mode" ayre segment create "./$name" --size 1 "--mode=$mode"
  done
  fails 2 "1 to 191 bytes" ayre segment create "./$name" --size 1 --tag ''
  fails 2 "1 to 191 bytes" ayre segment create "./$name" --size 1 --tag "$(printf '%192s' x)"
  ayre segment create "./$name" --size 1 --tag "$(printf '%191s' x)"
}

typed() {
  ayre segment create "$1" --size 64 --tag 'table v1' &&
    ayre segment create "$1" --size 64 --tag 'table v1' 2>/dev/null &&
    ayre segment write "$1" data &&
    [ "$(ayre segment read "$1" --string)" = data ] &&
    [ "$(ayre segment read "$1" | wc -c)" -eq 64 ] &&
    fails 1 'its tag is "table v1", not "table v2"' ayre segment create "$1" --size 64 --tag 'table v2' &&
    [ "$(ayre segment show "$1" --json | jq -r .tag)" = 'table v1' ]
}

@test "a tag makes a segment typed, and is checked" {
  on_each_backing typed
  ayre segment create "./$name" --size 64
  fails 1 'it has no tag' ayre segment create "./$name" --size 64 --tag any
}

@test "a damaged header is an error" {
  ayre segment create "./$name" --size 64 --tag any
  printf '\377' | dd of="$name" bs=1 seek=8 conv=notrunc status=none
  fails 1 "Malformed" ayre segment read "./$name"
}

@test "resize: larger keeps the bytes, smaller only if nobody has it mapped" {
  for segment in "$name" "./$name"; do
    ayre segment write "$segment" kept --size 4K
    ayre segment resize "$segment" 1M
    [ "$(ayre segment read "$segment" | wc -c)" -eq 1048576 ]
    [ "$(ayre segment read "$segment" --string)" = kept ]
    "$AYRE" segment read "$segment" --follow >/dev/null &
    background=$!
    until_true eval 'ayre segment show "$segment" --json | jq -e ".processes | length == 1" >/dev/null'
    fails 1 "1 process has mapped it (pid $background)" ayre segment resize "$segment" 4K
    [ "$(ayre segment read "$segment" | wc -c)" -eq 1048576 ]
    kill "$background"
    wait "$background" || true
    background=
    ayre segment resize "$segment" 10
    [ "$(ayre segment read "$segment" | wc -c)" -eq 10 ]
  done
  ayre segment create "$sysv" --size 10
  fails 1 "one size for life" ayre segment resize "$sysv" 20
  fails 2 "'x' is not a size" ayre segment resize "$name" x
  fails 2 "1 byte or more" ayre segment resize "$name" 0
}

@test "sync: a file silently, memory with a word" {
  ayre segment write "./$name" text --sync
  for option in '' --async --invalidate; do
    # shellcheck disable=SC2086
    run ayre segment sync "./$name" $option
    [ "$status" -eq 0 ]
    [ "$(stat -f -c %T .)" = tmpfs ] || [ -z "$output" ]
  done
  ayre segment create "$name" --size 10
  run --separate-stderr ayre segment sync "$name"
  [ "$status" -eq 0 ]
  [[ "$stderr" == *"in memory"* ]]
  fails 2 "exclude each other" ayre segment sync "./$name" --async --invalidate
}

@test "what is missing says what to do" {
  fails 1 "'ayre segment create $name --size 1K' makes it" ayre segment read "$name"
  fails 1 "makes it" ayre segment show "./$name"
  fails 1 "makes it" ayre segment resize "$name" 10
  fails 1 "No such file or directory" ayre segment remove "$name"
  fails 1 "No such file or directory" ayre segment remove "$sysv"
  fails 1 "there is no directory ./none" ayre segment create ./none/x --size 1
}

@test "names that cannot be" {
  fails 1 "a POSIX name has no slash inside" ayre segment create shm:a/b --size 1
  fails 1 "the name is empty" ayre segment create '' --size 1
  fails 1 "the name is empty" ayre segment create shm: --size 1
  fails 1 "the path is empty" ayre segment create file: --size 1
  fails 1 "Is a directory" ayre segment create ./ --size 1
  fails 1 "Is a directory" ayre segment read "$PWD"
  fails 1 "one to eight hexadecimal digits" ayre segment create sysv:0x123456789 --size 1
  fails 1 "one to eight hexadecimal digits" ayre segment create sysv:0xg --size 1
  fails 1 "IPC_PRIVATE" ayre segment create sysv:0x0 --size 1
  fails 1 "a key is made from an existing file" ayre segment create sysv:none:R --size 1
  fails 1 "at most 255 bytes" ayre segment create "$(printf '%256s' | tr ' ' x)" --size 1
}

@test "what is no regular file is refused, without hanging" {
  mkfifo pipe
  fails 1 "not a regular file" timeout 5 "$AYRE" segment read ./pipe
  fails 1 "not a regular file" timeout 5 "$AYRE" segment write ./pipe x
  fails 1 "not a regular file" ayre segment remove ./pipe
  fails 1 "not a regular file" ayre segment read /dev/null
  ln -s nowhere link
  fails 1 "leads nowhere" timeout 5 "$AYRE" segment create ./link --size 1
}

@test "facts of System V that trip people" {
  ayre segment create "$sysv" --size 1K
  fails 1 "another file can give the same key" ayre segment create "$sysv" --size 2K
  limit=$(cat /proc/sys/kernel/shmmax)
  # Only where the machine has a limit that can be passed.
  if [ "${#limit}" -lt 18 ]; then
    fails 1 "kernel.shmmax is $limit" ayre segment create "sysv:$PWD/key:z" --size "$((limit + 1))"
  fi
}

@test "a full memory file system is an error at creation" {
  fails 1 "No space left on device" ayre segment create "$name" --size 1000T
  [ ! -e "/dev/shm/$name" ]
}

# A place that another user can reach, with the command in it: bats keeps its own to itself, and so
# may whoever owns the build.
open_place() {
  make_place
  mkdir -m 777 "$place/open"
  cd "$place/open" || return
  touch key
  sysv="sysv:$place/open/key"
}

@test "an ordinary user: no permission is said as such" {
  needs_root
  open_place
  ayre segment write "./$name" secret --size 10
  chmod 600 "$name"
  chmod 755 .
  ayre segment create "$sysv" --size 10 --mode 0600
  fails 1 "Permission denied: it belongs to user 0 and has mode 0600" \
    as_user segment read "./$name"
  fails 1 "Permission denied: it belongs to user 0 and has mode 0600" \
    as_user segment read "$sysv"
  fails 1 "Permission denied" as_user segment create ./theirs --size 1
  fails 1 "Operation not permitted" as_user segment remove "$sysv"
}

@test "an ordinary user can do it all" {
  needs_root
  open_place
  for segment in "$name" ./file "$sysv"; do
    as_user segment create "$segment" --size 2M --tag t
    as_user segment write "$segment" text
    [ "$(as_user segment read "$segment" --string)" = text ]
    as_user segment show "$segment" >/dev/null 2>&1
    as_user segment remove "$segment"
  done
}
