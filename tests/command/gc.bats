#!/usr/bin/env bats
# ayre gc: what dead processes left goes, what the living have and what was sent stays.

bats_require_minimum_version 1.5.0
load topic_support

# Two publishers and two subscribers of t, killed. The lane of one has messages.
leave_some() {
  mkfifo input
  ayre topic create t --size 64K
  for i in 1 2; do
    start none "$AYRE" pub t <>input
    dead+=("$pid")
  done
  until_true peers pub 2 t
  for i in 1 2; do
    start none "$AYRE" sub t
    dead+=("$pid")
  done
  until_true asleep 2 t
  echo kept >input
  until_true sh -c '[ "$("$1" topic show t --json | jq "[.publishers[].messages] | add")" = 1 ]' sh "$AYRE"
  for p in "${dead[@]}"; do
    kill -KILL "$p"
    wait "$p" || true
  done
  rm input
}

@test "nothing there: nothing said, exit 0" {
  run --separate-stderr ayre gc
  [ "$status" -eq 0 ]
  [ -z "$output$stderr" ]
  [ "$(ayre gc --json | jq -c '[.removed_count, .leftovers]')" = '[0,[]]' ]
}

@test "what the dead left goes; messages stay, and it is said how to free them" {
  leave_some
  ls "$AYRE_DIR/t" | sort >before
  run --separate-stderr ayre gc --dry-run
  [ "$status" -eq 0 ]
  [ "$(grep -c '^would be removed: subscriber' <<<"$output")" -eq 4 ]
  [ "$(grep -c '^would be removed: bell' <<<"$output")" -eq 2 ]
  [ "$(grep -c '^would be removed: lane' <<<"$output")" -eq 1 ]
  ls "$AYRE_DIR/t" | sort | cmp - before
  run --separate-stderr ayre gc
  [ "$status" -eq 0 ]
  [ "$(wc -l <<<"$output")" -eq 7 ]
  [ "$(grep -c "^removed: .* $AYRE_DIR/t/" <<<"$output")" -eq 7 ]
  [[ "$stderr" == "ayre: gc: t: "*" of messages whose publishers are gone stay; 'ayre topic remove t' frees them" ]]
  [ "$(ls "$AYRE_DIR/t" | sed 's/\..*//' | tr '\n' ' ')" = 'join pub topic ' ]
  [ "$(ayre sub t --count 1)" = kept ]
  [ -z "$(ayre gc 2>/dev/null)" ]
}

@test "json: each, with what it holds" {
  leave_some
  ayre gc --json >out
  [ "$(jq -c '[.dry_run, .removed_count, .failed_count]' out)" = '[false,7,0]' ]
  [ "$(jq -c '[.leftovers[].kind] | sort' out)" = \
    '["bell","bell","content","lane","subscriber","subscriber","subscriber","subscriber"]' ]
  [ "$(jq '[.leftovers[] | select(.kind == "lane").size_bytes][0]' out)" -ge 65536 ]
  [ "$(jq '.removed_bytes' out)" -ge $((65536 + 2 * 4096)) ]
  [ "$(jq '.kept_bytes' out)" -ge 65536 ]
  [ "$(jq -r '[.leftovers[].topic] | unique[]' out)" = t ]
}

@test "the living keep all they have" {
  start out "$AYRE" sub t
  until_true asleep 1 t
  mkfifo input
  start none "$AYRE" pub t <>input
  until_true peers pub 1 t
  ls "$AYRE_DIR/t" | sort >before
  [ -z "$(ayre gc)" ]
  ls "$AYRE_DIR/t" | sort | cmp - before
  echo heard >input
  until_true grep -q heard out
}

@test "bells without a file, and messages that no record tells of" {
  head -c 3000000 /dev/urandom >bytes
  ayre pub t --whole <bytes
  large=$(find "$AYRE_DIR/t" -name 'pub.*.*')
  lane=${large%.*}
  # The next one, which was never sent.
  cp "$large" "$lane.00000000001fffff"
  cp "$large" "$lane.0000000000000010"
  mkfifo "$AYRE_DIR/t/pub.00000000000000aa.bell" "$AYRE_DIR/t/sub.00000000000000bb.bell" "$lane.bell"
  mkfifo "$AYRE_DIR/t/sub.00000000000000cc.bell"
  # Somebody reads this one.
  exec {reader}<>"$AYRE_DIR/t/sub.00000000000000cc.bell"
  ayre gc --dry-run 2>/dev/null >would
  exec {reader}>&-
  [ "$(grep -c '^would be removed: bell' would)" -eq 2 ]
  grep -q "^would be removed: subscriber $AYRE_DIR/t/sub.00000000000000bb.bell" would
  [ "$(grep -c 00000000000000cc would)" -eq 0 ]
  ayre gc 2>/dev/null >did
  [ "$(grep -c '^removed: message' did)" -eq 2 ]
  [ "$(grep -c '^removed: bell' did)" -eq 2 ]
  grep -q "^removed: subscriber $AYRE_DIR/t/sub.00000000000000bb.bell" did
  [ -e "$large" ]
  ayre sub t --until-closed --frames | tail -c +5 | cmp - bytes
}

@test "a file beside the ring that was a spare when its publisher died" {
  head -c 3000000 /dev/urandom >bytes
  ayre pub t --whole <bytes
  large=$(find "$AYRE_DIR/t" -name 'pub.*.*')
  lane=${large%.*}
  # The word that says so: behind this record.
  printf '\001\000\020' | dd of="$lane" bs=1 seek=168 conv=notrunc status=none
  ayre gc 2>/dev/null >did
  [ "$(grep -c '^removed: message' did)" -eq 1 ]
  [ ! -e "$large" ]
  [ -z "$(ayre sub t --until-closed --frames)" ]
}

@test "topics that were never whole, and removals that were cut short" {
  ayre pub t kept
  mkdir "$AYRE_DIR/.new.ayre-creating.01234567"
  cp -a "$AYRE_DIR/t" "$AYRE_DIR/.old.ayre-creating.89abcdef"
  mkdir "$AYRE_DIR/.live.ayre-creating.00000000"
  start out flock "$AYRE_DIR/.live.ayre-creating.00000000" sleep 10
  until_true sh -c '! flock -n "$1" true' sh "$AYRE_DIR/.live.ayre-creating.00000000"
  [ "$(ayre gc --dry-run 2>/dev/null | grep -c '^would be removed: topic')" -eq 2 ]
  [ "$(ayre gc 2>/dev/null | grep -c '^removed: topic')" -eq 2 ]
  [ "$(ls -A "$AYRE_DIR" | sort | tr '\n' ' ')" = '.live.ayre-creating.00000000 t ' ]
  mkdir "$AYRE_DIR/.full.ayre-creating.00000000"
  touch "$AYRE_DIR/.full.ayre-creating.00000000/notes"
  run --separate-stderr ayre gc
  [[ "$stderr" == *"not removed: Directory not empty"* ]]
  [ -e "$AYRE_DIR/.full.ayre-creating.00000000/notes" ]
}

@test "what is no topic, or a damaged one, is left alone; a topic by its name" {
  leave_some
  mkdir "$AYRE_DIR/directory"
  touch "$AYRE_DIR/directory/sub.00000000000000aa"
  cp -a "$AYRE_DIR/t" "$AYRE_DIR/damaged"
  chmod u+w "$AYRE_DIR/damaged/topic"
  truncate -s 100 "$AYRE_DIR/damaged/topic"
  [ "$(ayre gc 2>/dev/null | grep -vc "$AYRE_DIR/t/")" -eq 0 ]
  [ -e "$AYRE_DIR/directory/sub.00000000000000aa" ]
  fails 1 "cut short" ayre gc damaged
  fails 1 "No such file" ayre gc none
  fails 1 "no topic" ayre gc directory
  ayre pub "$AYRE_DIR/t" more
  [ -z "$(ayre gc t "$AYRE_DIR/t" 2>/dev/null)" ]
}

@test "another user's: only its own is removed, and the rest is told" {
  needs_root
  make_place
  mkdir -m 755 "$AYRE_DIR"
  ayre topic create t --mode 0666 --size 64K
  leave_some_of() {
    start none "$@"
    until_true asleep 1 t
    kill -KILL "$pid"
    wait "$pid" || true
  }
  leave_some_of "$AYRE" sub t
  run --separate-stderr as_user gc
  [ "$status" -eq 0 ]
  [ -z "$output" ]
  [ "$(grep -c 'not removed: Operation not permitted' <<<"$stderr")" -eq 2 ]
  peers sub 1 t
  ayre gc >/dev/null
  peers sub 0 t
  LD_LIBRARY_PATH=$place/bin leave_some_of setpriv --reuid=54321 --regid=54321 --clear-groups \
    "$place/bin/ayre" sub t
  [ "$(as_user gc | grep -c '^removed: subscriber')" -eq 2 ]
  peers sub 0 t
}

@test "a dry run says what the real one will do: another user's, and what holds something else" {
  needs_root
  make_place
  mkdir -m 1777 "$AYRE_DIR"
  chmod 1777 "$AYRE_DIR"
  ayre topic create t --mode 0666 --size 64K
  ayre pub t </dev/null
  start none "$AYRE" sub t
  until_true asleep 1 t
  kill -KILL "$pid"
  wait "$pid" || true
  mkfifo -m 622 "$AYRE_DIR/t/sub.00000000000000bb.bell"
  mkfifo -m 622 "$(find "$AYRE_DIR/t" -name 'pub.*').bell"
  mkdir -m 755 "$AYRE_DIR/.u.ayre-creating.00000001"
  # Its own, which it can remove, and two that it cannot.
  setpriv --reuid=54321 --regid=54321 --clear-groups mkdir "$AYRE_DIR/.o.ayre-creating.00000002"
  setpriv --reuid=54321 --regid=54321 --clear-groups mkdir "$AYRE_DIR/.x.ayre-creating.00000003"
  setpriv --reuid=54321 --regid=54321 --clear-groups touch "$AYRE_DIR/.x.ayre-creating.00000003/notes"
  run --separate-stderr as_user gc --dry-run
  would=$(sed 's/^would be removed/removed/' <<<"$output")
  would_not=$stderr
  run --separate-stderr as_user gc
  [ "$(wc -l <<<"$output")" -eq 1 ]
  [ "$would" = "$output" ]
  [ "$would_not" = "$stderr" ]
  [ "$(grep -c 'not removed' <<<"$stderr")" -eq 6 ]
}

@test "only the exact form of an unfinished name is one" {
  ayre topic create a.ayre-creating.b
  mkdir "$AYRE_DIR/.n.ayre-creating.0000000" "$AYRE_DIR/.n.ayre-creating.000000012" \
    "$AYRE_DIR/.n.ayre-creating.0000000X" "$AYRE_DIR/.ayre-creating.00000001"
  [ -z "$(ayre gc)" ]
  [ "$(ls -A "$AYRE_DIR" | wc -l)" -eq 5 ]
  [[ "$(ayre topic list)" == *a.ayre-creating.b* ]]
}

@test "in a loop, while others come and go and are killed: nobody is harmed" {
  ayre topic create t --size 64K
  start gc sh -c 'while "$1" gc >>gc.out 2>>gc.err2; do :; done' sh "$AYRE"
  collector=$pid
  start bells sh -c 'for i in $(seq 15); do timeout -s KILL 0.02 "$1" sub t; timeout -s KILL 0.02 "$1" pub t </dev/zero; done; true' sh "$AYRE"
  killer=$pid
  for round in $(seq 12); do
    start out$round "$AYRE" sub t --count 200 --from next
    one=$pid
    until_true sh -c '"$1" topic show t --json | jq -e ".subscribers | any(.pid == $2)" >/dev/null' sh "$AYRE" "$one"
    start made$round sh -c '"$1" topic create "new$2" && "$1" topic remove "new$2"' sh "$AYRE" $round
    two=$pid
    seq -f "$round %g" 200 | ayre pub t --timeout 20s
    ends_with 0 "$two"
    ends_with 0 "$one"
    [ "$(wc -l <out$round)" -eq 200 ]
  done
  ends_with 0 "$killer"
  kill "$collector"
  # What the shell was in the middle of.
  wait "$collector" || true
  until_true sh -c '! pgrep -P "$1" >/dev/null' sh "$collector"
  ayre gc >/dev/null 2>&1
  until_true nothing_but_content t
  [ ! -s gc.err ]
  grep -v 'stay; ' gc.err2 && return 1
  true
}

@test "somebody has the lane's lock when its publisher dies: its subscriber learns of it all the same" {
  mkfifo input
  start none "$AYRE" pub t <>input
  victim=$pid
  until_true peers pub 1 t
  # What gc does for a moment, for long: takes the lock as soon as it is free.
  start holder python3 - "$(find "$AYRE_DIR/t" -name 'pub.????????????????')" <<'PYTHON'
import fcntl, os, struct, sys, time
F_OFD_SETLKW, F_WRLCK = 38, 1
file = os.open(sys.argv[1], os.O_RDWR)
print('waits', flush=True)
fcntl.fcntl(file, F_OFD_SETLKW, struct.pack('hh4xqqi4x', F_WRLCK, 0, 0, 1, 0))
print('has it', flush=True)
time.sleep(30)
PYTHON
  until_true grep -q waits holder
  start out "$AYRE" sub t --until-closed --timeout 10s
  until_true asleep 1 t
  kill -STOP "$pid"
  kill -KILL "$victim"
  until_true grep -q 'has it' holder
  kill -CONT "$pid"
  ends_with 3 "$pid"
}
