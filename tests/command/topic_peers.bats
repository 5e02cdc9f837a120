#!/usr/bin/env bats
# Several publishers and subscribers at once: killed, interrupted, cut off, of other users, without room.

bats_require_minimum_version 1.5.0
load topic_support

@test "three publishers, three subscribers: each message once, in the order of its publisher" {
  ayre topic create t --size 16K
  for i in 1 2 3; do
    start "out$i" "$AYRE" sub t --until-closed
  done
  until_true asleep 3 t
  # None ends before all have come: else the subscribers could, and the lane be another's.
  for i in 1 2 3; do
    start "none$i" sh -c '{ seq -f "$2 %05g" 20000; until [ -e all ]; do sleep 0.05; done; } |
      "$1" pub t --wait-subscribers 3' sh "$AYRE" $i
  done
  until_true peers pub 3 t
  touch all
  for p in "${pids[@]}"; do
    ends_with 0 "$p"
  done
  for i in 1 2 3; do
    for p in 1 2 3; do
      grep "^$p " "out$i" | cmp - <(seq -f "$p %05g" 20000)
    done
    [ "$(wc -l <"out$i")" -eq 60000 ]
  done
  nothing_but_content t
  peers pub 3 t
}

@test "a subscriber that is killed is passed over at once" {
  ayre topic create t --size 4K
  start out "$AYRE" sub t --until-closed
  reader=$pid
  start dead "$AYRE" sub t
  dead=$pid
  until_true asleep 2 t
  kill -STOP "$dead"
  seq 1 5000 >lines
  start none "$AYRE" pub t <lines
  until_true sh -c '"$1" topic show t --json | jq -e ".publishers[0].waiting" >/dev/null' sh "$AYRE"
  kill -KILL "$dead"
  ends_with 0 "$pid"
  ends_with 0 "$reader"
  cmp lines out
  nothing_but_content t
}

@test "a publisher that is killed in the middle: what it sent is whole, the others go on" {
  start out "$AYRE" sub t --until-closed
  reader=$pid
  until_true asleep 1 t
  start none sh -c 'exec "$1" pub t <&9' sh "$AYRE" 9< <(yes 'the same line' | head -n 100000000)
  victim=$pid
  seq 1 3000 | ayre pub t --wait-subscribers 1
  until_true grep -q 'the same line' out
  kill -KILL "$victim"
  ends_with 3 "$reader"
  grep -v '^the same line$' out | cmp - <(seq 1 3000)
  grep -q 'died without closing, after its message' out.err
  # Its lane is taken over.
  ayre pub t after
  ayre pub t after
  peers pub 2 t
}

@test "interrupted: it cleans up, and ends by the signal" {
  for signal in INT TERM HUP; do
    code=$((128 + $(kill -l $signal)))
    # Not by the shell's &, which has its children ignore SIGINT.
    run timeout --preserve-status -s $signal 0.3 "$AYRE" sub t
    [ "$status" -eq $code ]
    nothing_but_content t
    run timeout --preserve-status -s $signal 0.3 "$AYRE" pub t x --wait-subscribers 1
    [ "$status" -eq $code ]
    nothing_but_content t
    mkfifo input
    run timeout --preserve-status -s $signal 0.3 "$AYRE" pub t <>input
    [ "$status" -eq $code ]
    nothing_but_content t
    rm input
  done
}

@test "interrupted while it waits for room, or for a reader of its output" {
  ayre topic create t --size 4K
  start out "$AYRE" sub t
  stopped=$pid
  until_true asleep 1 t
  kill -STOP "$stopped"
  yes | head -n 100000 >lines
  run timeout --preserve-status -s TERM 0.5 "$AYRE" pub t <lines
  [ "$status" -eq 143 ]
  head -c 100000 /dev/zero >zeros
  run timeout --preserve-status -s TERM 0.5 "$AYRE" pub t --whole <zeros
  [ "$status" -eq 143 ]
  kill -KILL "$stopped"
  mkfifo output
  exec 9<>output
  ayre pub u --whole <<<"$(head -c 600000 /dev/urandom | base64)"
  for form in --lines --json; do
    start ignored timeout --preserve-status -s TERM 1 sh -c 'exec "$1" sub u "$2" --from oldest >output' sh "$AYRE" $form
    ends_with 143 "$pid"
    nothing_but_content u
  done
  exec 9>&-
}

@test "a signal that was switched off stays off" {
  start out sh -c 'trap "" TERM; exec "$1" sub t --count 1' sh "$AYRE"
  until_true asleep 1 t
  kill "$pid"
  sleep 0.1
  ayre pub t still
  ends_with 0 "$pid"
  [ "$(cat out)" = still ]
}

@test "a reader that has enough ends it quietly, also while it waits" {
  seq 1 100000 | ayre pub t
  run --separate-stderr bash -c 'set -o pipefail; "$1" sub t --from oldest | head -n 1' bash "$AYRE"
  [ "$status" -eq 141 ]
  [ -n "$output" ]
  [ -z "$stderr" ]
  run --separate-stderr timeout 5 bash -c 'set -o pipefail; "$1" sub t | true' bash "$AYRE"
  [ "$status" -eq 141 ]
  [ -z "$stderr" ]
  run --separate-stderr bash -c 'trap "" PIPE; set -o pipefail; "$1" sub t --json --from oldest | head -n 1' bash "$AYRE"
  [ "$status" -eq 141 ]
  [ -z "$stderr" ]
  nothing_but_content t
}

@test "standard output: full, closed; standard input: closed, a directory" {
  ayre pub t text
  for form in --lines --frames --json; do
    fails 1 "standard output: No space left on device" \
      sh -c '"$1" sub t --count 1 "$2" >/dev/full' sh "$AYRE" $form
    fails 1 "standard output: Bad file descriptor" \
      sh -c '"$1" sub t --count 1 "$2" >&-' sh "$AYRE" $form
  done
  fails 1 "standard output: Bad file descriptor" sh -c '"$1" sub t >&-' sh "$AYRE"
  for form in --lines --frames --whole; do
    fails 1 "standard input: Bad file descriptor" sh -c '"$1" pub t "$2" <&-' sh "$AYRE" $form
    fails 1 "standard input: Is a directory" sh -c '"$1" pub t "$2" <.' sh "$AYRE" $form
  done
  run sh -c '"$1" topic list --json >/dev/full' sh "$AYRE"
  [ "$status" -eq 1 ]
  run sh -c '"$1" topic show t >/dev/full' sh "$AYRE"
  [ "$status" -eq 1 ]
  nothing_but_content t
  [ "$(ayre sub t --until-closed)" = text ]
}

@test "waiting costs next to no processor time" {
  start out "$AYRE" sub t
  one=$pid
  mkfifo input
  start none "$AYRE" pub t <>input
  until_true is_idle "$one"
  until_true is_idle "$pid"
}

@test "more subscribers than descriptors: it is said, and those that are known go on" {
  for i in 1 2 3 4 5 6; do
    start "out$i" "$AYRE" sub t
  done
  until_true asleep 6 t
  # A hard limit, which it cannot raise.
  fails 1 "no descriptor is left" sh -c 'ulimit -n 12; exec "$1" pub t x' sh "$AYRE" || {
    # The first look is a part of opening.
    fails 1 "Too many open files" sh -c 'ulimit -n 12; exec "$1" pub t x' sh "$AYRE"
  }
  # The soft one it raises.
  (ulimit -S -n 12; "$AYRE" pub t all)
  for i in 1 2 3 4 5 6; do
    until_true grep -q all "out$i"
  done
}

@test "a full file system: an error each, and nothing lost" {
  needs_mounts
  mkdir -p "$AYRE_DIR"
  cat >full.sh <<'SCRIPT'
set -e
mount -t tmpfs -o size=400k tmpfs "$AYRE_DIR"
! "$1" topic create large --size 1M 2>said || exit 11
grep -q 'No space left on device: the ring of one publisher takes 1048576 bytes' said
"$1" topic create t --size 64K
"$1" pub t kept
# Messages beside the ring, until there is no room.
! head -c 1000000 /dev/zero | "$1" pub t --whole 2>said || exit 12
grep -q 'No space left on device' said
head -c 100000 /dev/zero | "$1" pub t --whole
dd if=/dev/zero of="$AYRE_DIR/fill" bs=1k 2>/dev/null || true
! "$1" pub u x 2>said || exit 13
grep -q 'No space left on device' said
! "$1" sub t --count 1 2>said >out || exit 14
grep -q 'No space left on device' said
# The lane is there: to go on in it takes no more.
"$1" pub t more 2>said || grep -q 'No space left on device' said
rm "$AYRE_DIR/fill"
"$1" pub t last
"$1" sub t --until-closed --json | jq -r .size_bytes | tr '\n' ' ' >out
grep -q '^4 100000 ' out
SCRIPT
  run unshare -m sh -e full.sh "$AYRE"
  [ "$status" -eq 0 ]
}

@test "other users: who may subscribe, who may publish, by the mode" {
  needs_root
  make_place
  mkdir -m 755 -p "$AYRE_DIR"
  for mode in 0600 0644 0666; do
    ayre topic create "$AYRE_DIR/$mode" --mode $mode
    ayre pub "$AYRE_DIR/$mode" hello
  done
  fails 1 "Permission denied" as_user sub "$AYRE_DIR/0600" --count 1
  fails 1 "Permission denied" as_user pub "$AYRE_DIR/0600" x
  fails 1 "Permission denied" as_user topic show "$AYRE_DIR/0600"
  [ "$(as_user topic list --json | jq -c '[.unseen, [.topics[].name]]')" = '[1,["0644","0666"]]' ]
  [ "$(as_user sub "$AYRE_DIR/0644" --count 1)" = hello ]
  fails 1 "this user may subscribe, but not publish (its mode is 0644)" as_user pub "$AYRE_DIR/0644" x
  [ "$(as_user sub "$AYRE_DIR/0666" --count 1)" = hello ]
  as_user pub "$AYRE_DIR/0666" there
  [ "$(ayre sub "$AYRE_DIR/0666" --until-closed | sort | tr '\n' ' ')" = 'hello there ' ]
  # Who may only subscribe is waited for by nobody, and is told so.
  LD_LIBRARY_PATH=$place/bin start out setpriv --reuid=54321 --regid=54321 --clear-groups \
    "$place/bin/ayre" sub "$AYRE_DIR/0644"
  until_true asleep 1 0644
  [ "$(ayre topic show 0644 --json | jq '.subscribers[0].lossy')" = true ]
  kill -STOP "$pid"
  seq 1 100000 | timeout 10 "$AYRE" pub "$AYRE_DIR/0644"
  kill -KILL "$pid"
  fails 1 "denied" as_user topic remove "$AYRE_DIR/0644" --force
  [ "$(ayre sub "$AYRE_DIR/0644" --until-closed | tail -n 1)" = 100000 ]
}

@test "the default root: another's directory of that name is not trusted" {
  needs_mounts
  cat >root.sh <<'SCRIPT'
unset AYRE_DIR
mount -t tmpfs tmpfs /dev/shm
chmod 1777 /dev/shm
"$1" pub t mine && [ "$(stat -c %a /dev/shm/ayre-0)" = 700 ] && "$1" topic show t >/dev/null || exit 11
chmod 755 /dev/shm/ayre-0
for command in 'pub t x' 'sub t' 'topic list' 'topic show t' 'topic remove t' 'gc'; do
  ! "$1" $command 2>said >out || exit 12
  grep -q 'is not a directory of this user alone' said || exit 13
done
chmod 700 /dev/shm/ayre-0
chown 54321 /dev/shm/ayre-0
! "$1" sub t --count 1 2>said || exit 14
SCRIPT
  run unshare -m sh root.sh "$AYRE"
  [ "$status" -eq 0 ]
}
