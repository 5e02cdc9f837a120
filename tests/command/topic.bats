#!/usr/bin/env bats
# ayre topic, from outside: made, listed, shown, removed; and all that a topic is not.

bats_require_minimum_version 1.5.0
load topic_support

@test "create: what is asked for, once" {
  ayre topic create t --size 20000 --lossy --tag 'prices v1' --mode 0644
  ayre topic show t --json >show
  [ "$(jq -c '[.name, .ring_bytes, .lossy, .tag, .mode, .problem]' show)" = \
    '["t",32768,true,"prices v1","0644",null]' ]
  [ "$(jq -r .path show)" = "$AYRE_DIR/t" ]
  [ "$(jq '.created_ns / 1000000000 | floor' show)" -le "$(date +%s)" ]
  run --separate-stderr ayre topic create t
  [ "$status" -eq 0 ]
  [ "$stderr" = "ayre: topic create: t: it was there already, and stays as it is" ]
  fails 1 "ayre: topic create: t: File exists" ayre topic create t --exclusive
  fails 1 "its tag is 'prices v1'" ayre topic create t --tag other
}

@test "create: the defaults, and the mode whatever the umask" {
  umask 077
  ayre topic create t
  [ "$(ayre topic show t --json | jq -c '[.ring_bytes, .lossy, .tag, .mode]')" = \
    '[1048576,false,null,"0600"]' ]
  [ "$(stat -c %a "$AYRE_DIR/t")" = 700 ]
  ayre topic create open --mode 0666
  [ "$(stat -c %a "$AYRE_DIR/open")" = 1777 ]
}

@test "create: a path, a root that is missing" {
  mkdir -p "$AYRE_DIR"
  ayre topic create "$AYRE_DIR/t"
  ayre topic create "$AYRE_DIR//u"
  [ "$(ayre topic list --json | jq -c '[.topics[].name]')" = '["t","u"]' ]
  fails 1 "there is no directory $AYRE_DIR/none" ayre topic create "$AYRE_DIR/none/t"
  if [ "$(stat -f -c %T .)" != tmpfs ]; then
    ayre topic create ./t
    [ "$(ayre topic show ./t --json | jq .durable)" = true ]
    ayre topic remove ./t
  fi
}

@test "create: many at once, one of them makes it" {
  for i in 1 2 3 4 5 6; do
    start "made$i" "$AYRE" topic create t --exclusive
  done
  made=0
  for p in "${pids[@]}"; do
    if wait "$p"; then made=$((made + 1)); fi
  done
  [ "$made" -eq 1 ]
  [ "$(cat made*.err | grep -c 'File exists')" -eq 5 ]
  [ "$(ls -A "$AYRE_DIR")" = t ]
}

@test "create: options that can never be right are exit 2, and nothing is made" {
  fails 2 "'x' is not a size" ayre topic create t --size x
  fails 2 "a ring has 1 byte or more" ayre topic create t --size 0
  fails 2 "'0777' is not a mode" ayre topic create t --mode 0777
  fails 2 "who may publish may subscribe" ayre topic create t --mode 0622
  fails 2 "its owner may always" ayre topic create t --mode 0444
  fails 2 "a tag has 1 to 191 bytes" ayre topic create t --tag ''
  fails 2 "a tag has 1 to 191 bytes" ayre topic create t --tag "$(printf '%0192d' 0)"
  ayre topic create t --tag "$(printf '%0191d' 0)"
  [ "$(ls "$AYRE_DIR")" = t ]
}

@test "create: a ring beyond the machine is an error now, not at the first message" {
  fails 1 "No space left on device: the ring of one publisher takes 1099511627776 bytes" \
    ayre topic create t --size 1T
  fails 1 "a ring has at most" ayre topic create t --size 2T
  [ -z "$(ls -A "$AYRE_DIR")" ]
}

@test "names: what is none" {
  for word in '' . .. .t 'a b' 'a:b' 'ä' $'a\nb'; do
    fails 1 "a topic is a word" ayre topic create "$word"
    fails 1 "a topic is a word" ayre pub "$word" x
    fails 1 "a topic is a word" ayre sub "$word" --count 1 --timeout 1ms
    fails 1 "a topic is a word" ayre topic show "$word"
    fails 1 "a topic is a word" ayre topic remove "$word"
  done
  fails 1 "a topic's path ends with its own name" ayre topic create "$AYRE_DIR/"
  fails 1 "a topic's path ends with its own name" ayre topic create "$AYRE_DIR/.."
  fails 1 "at most 200 bytes" ayre topic create "$(printf '%0201d' 0)"
  ayre topic create "$(printf '%0200d' 0)"
}

@test "what is not there: exit 1, and what to do" {
  fails 1 "'ayre topic create t' makes it" ayre topic show t
  fails 1 "ayre: topic remove: t: No such file or directory" ayre topic remove t
  [ "$(ayre topic list)" = '' ]
  [ "$(ayre topic list --json | jq -c .topics)" = '[]' ]
}

@test "list: a row each, by name; directories that are no topics are left out" {
  ayre topic create b --lossy --tag 'a tag'
  ayre topic create a --size 4K
  mkdir "$AYRE_DIR/directory"
  touch "$AYRE_DIR/file"
  ayre topic list >list
  [ "$(sed -n 1p list | tr -s ' ')" = 'TOPIC RING POLICY USED MODE OWNER PUBS SUBS TAG' ]
  [[ "$(sed -n 2p list | tr -s ' ')" = 'a 4K reliable '*' 0 0' ]]
  [[ "$(sed -n 3p list | tr -s ' ')" = 'b 1M lossy '*' 0 0 a tag' ]]
  [ "$(wc -l <list)" -eq 3 ]
}

@test "show: publishers and subscribers, how far each is" {
  start out "$AYRE" sub t --lines
  until_true asleep 1 t
  printf '1\n22\n333\n' | ayre pub t
  # It says how far it is before it sleeps.
  until_true sh -c '"$1" topic show t --json | jq -e ".subscribers[0].received == 3" >/dev/null' sh "$AYRE"
  ayre topic show t --json >show
  [ "$(jq -c '.publishers[] | [.alive, .closed, .waiting, .messages, .kept_messages, .owner_count]' show)" = \
    '[false,true,false,3,3,1]' ]
  [ "$(jq -c '.subscribers[] | [.pid, .alive, .lossy, .asleep, .received, .missed, .lag_messages, .lag_bytes]' show)" = \
    "[$pid,true,false,true,3,0,0,0]" ]
  [ "$(jq -r '.subscribers[0].lanes[0].publisher' show)" = "$(jq -r '.publishers[0].id' show)" ]
  [ "$(jq '.subscribers[0].lanes[0].position_bytes' show)" = "$(jq '.publishers[0].position_bytes' show)" ]
  ayre topic show t >shown
  grep -Eq '^[0-9a-f]{16} +[0-9]+ +closed +3 ' shown
  grep -Eq "^[0-9a-f]{16} +$pid +asleep +reliable +3 +0 +0 +0$" shown
}

@test "show: one that does not read lags, and keeps its publisher waiting" {
  ayre topic create t --size 4K
  start out "$AYRE" sub t
  reader=$pid
  until_true asleep 1 t
  kill -STOP "$reader"
  yes 0123456789 | head -n 1000 >lines
  start none "$AYRE" pub t <lines
  until_true sh -c '"$1" topic show t --json | jq -e ".publishers[0].waiting" >/dev/null' sh "$AYRE"
  ayre topic show t --json >show
  [ "$(jq '.subscribers[0].lag_messages' show)" -gt 50 ]
  [ "$(jq '.subscribers[0].lag_messages' show)" -eq "$(jq '.publishers[0].messages' show)" ]
  [ "$(jq '.subscribers[0].lag_bytes' show)" -eq "$(jq '.publishers[0].sent_bytes' show)" ]
  grep -q . out && return 1
  kill -CONT "$reader"
  ends_with 0 "$pid"
  until_true cmp -s lines out
  [ "$(ayre topic show t --json | jq '.publishers[0].messages')" -eq 1000 ]
}

@test "remove: with what is in it, but not while it is used" {
  start out "$AYRE" sub t
  until_true asleep 1 t
  fails 1 "Device or resource busy: 1 publisher or subscriber uses it" ayre topic remove t
  peers sub 1 t
  ayre topic remove t --force
  [ ! -e "$AYRE_DIR/t" ]
  kill "$pid"
  ends_with 143 "$pid"
  ayre pub t again
  ayre topic remove t
  [ -z "$(ls -A "$AYRE_DIR")" ]
}

@test "remove: never a directory that is no topic, nor what else lies in one" {
  mkdir -p "$AYRE_DIR/plain" "$AYRE_DIR/like"
  echo mine >"$AYRE_DIR/plain/notes"
  echo mine >"$AYRE_DIR/like/topic"
  for directory in plain like; do
    for command in 'topic remove' 'topic remove --force' 'topic show' 'pub --nul' 'sub --count 1'; do
      # shellcheck disable=SC2086
      fails 1 "Malformed" ayre ${command%% --*} $directory ${command#"${command%% --*}"} </dev/null
    done
  done
  [ "$(cat "$AYRE_DIR/plain/notes" "$AYRE_DIR/like/topic")" = $'mine\nmine' ]
  ayre pub t kept
  echo mine >"$AYRE_DIR/t/notes"
  fails 1 "'notes' in it is not a topic's, and nothing was removed" ayre topic remove t
  [ "$(ayre sub t --count 1)" = kept ]
  rm "$AYRE_DIR/t/notes"
  ayre topic remove t
}

@test "a damaged description: each byte, each command; removed with ease" {
  ayre pub whole kept
  cp -a "$AYRE_DIR/whole" copy
  [ "$(od -An -tu1 -j76 -N4 copy/topic | tr -d ' \n')" = 0000 ]
  for byte in $(seq 0 95); do
    mkdir "$AYRE_DIR/t"
    cp copy/topic copy/join copy/pub.* "$AYRE_DIR/t"
    chmod u+w "$AYRE_DIR/t/topic"
    old=$(od -An -tu1 -j"$byte" -N1 copy/topic)
    # shellcheck disable=SC2059
    printf "\\$(printf %o $((old ^ 255)))" |
      dd of="$AYRE_DIR/t/topic" bs=1 seek="$byte" conv=notrunc status=none
    case $byte in
      [0-7]) text="its file 'topic' is no description of a topic" ;;
      8 | 9 | 10 | 11 | 20 | 21 | 22 | 23) text="it was made by a newer ayre" ;;
      *) text="its file 'topic' is damaged (checksum): remove the topic" ;;
    esac
    fails 1 "$text" ayre sub t --count 1 || { echo "byte $byte"; return 1; }
    if [ $((byte % 8)) -eq 0 ]; then
      fails 1 "$text" ayre pub t x
      fails 1 "$text" ayre topic show t
      [[ "$(ayre topic list --json | jq -r '.topics[] | select(.name == "t").problem')" == *"$text"* ]]
      [[ "$(ayre topic list)" == *"cannot be used: $text"* ]]
    fi
    ayre topic remove t || { echo "byte $byte"; return 1; }
    [ ! -e "$AYRE_DIR/t" ]
  done
}

@test "a damaged topic: cut short, emptied, without its join; removed with ease" {
  damage() {
    ayre pub t kept
    chmod u+w "$AYRE_DIR/t/topic"
    "$@"
  }
  damage truncate -s 511 "$AYRE_DIR/t/topic"
  fails 1 "its file 'topic' is cut short: remove the topic" ayre sub t --count 1
  ayre topic remove t
  damage truncate -s 0 "$AYRE_DIR/t/topic"
  fails 1 "its file 'topic' is cut short: remove the topic" ayre sub t --count 1
  ayre topic remove t
  damage rm "$AYRE_DIR/t/join"
  fails 1 "its file 'join' is missing or damaged: remove the topic" ayre pub t x
  fails 1 "'join'" ayre sub t --count 1
  nothing_but_content t
  ayre topic remove t
  damage rm "$AYRE_DIR/t/topic"
  fails 1 "it is a directory, but no topic" ayre topic remove t
  rm -r "$AYRE_DIR/t"
  # What looks like a topic and is a file, or a link.
  touch "$AYRE_DIR/t"
  fails 1 "something else has that name" ayre pub t x
  ln -sf . "$AYRE_DIR/t"
  fails 1 "something else has that name" ayre pub t x
}

@test "lanes that are damaged or foreign: nobody listens to them, and it is said" {
  ayre pub t kept
  lane=$(echo "$AYRE_DIR"/t/pub.*)
  cp "$lane" "$AYRE_DIR/t/pub.00000000000000ff"
  truncate -s 100 "$AYRE_DIR/t/pub.00000000000000aa"
  [ "$(ayre sub t --until-closed)" = kept ]
  [ "$(ayre topic show t --json | jq -c '[.publishers[] | .problem] | sort')" = \
    '[null,"it is damaged","it is damaged (size)"]' ]
  # The checkpoints, then the headers, are nonsense.
  head -c 4096 /dev/urandom | dd of="$lane" bs=1 seek=512 count=1024 conv=notrunc status=none
  [ "$(ayre topic show t --json | jq '[.publishers[] | select(.problem)] | length')" -eq 3 ]
  ayre pub t anew
  [ "$(ayre sub t --until-closed)" = anew ]
  ayre topic remove t
}

@test "a cursor that claims anything is copied, bounded and told" {
  ayre pub t one two
  ayre topic create t 2>/dev/null
  start out "$AYRE" sub t
  until_true asleep 1 t
  cursor=$(find "$AYRE_DIR/t" -name 'sub.????????????????')
  printf '\377\377\377\377\377\377\377\177' | dd of="$cursor" bs=1 seek=128 conv=notrunc status=none
  head -c 64 /dev/urandom | dd of="$cursor" bs=1 seek=256 conv=notrunc status=none
  ayre topic show t --json | jq -e '.subscribers[0].alive' >/dev/null
  truncate -s 100 "$cursor"
  [ "$(ayre topic show t --json | jq -r '.subscribers[0].problem')" = 'it is damaged' ]
  kill -KILL "$pid"
}
