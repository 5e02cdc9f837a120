#!/usr/bin/env bats
# ayre run, from outside: INTERFACE's contract, and every kind of bad input that was thought of.

bats_require_minimum_version 1.5.0
load support

# Sleepers that are this test's alone: `sleep "$long"`.
setup() {
  cd "$BATS_TEST_TMPDIR" || return
  long=$((100000 + $$ % 100000)).$BATS_TEST_NUMBER$RANDOM
  user=$((200000 + $$ % 100000))
  export long AYRE
}

sleepers() {
  pgrep -f "sleep $long"
}

none_left() {
  ! sleepers >/dev/null
}

some_left() {
  sleepers >/dev/null
}

teardown() {
  for pid in $(sleepers); do kill -KILL "$pid"; done
  [ -z "${background:-}" ] || kill -KILL "$background" 2>/dev/null || true
  [ -z "${place:-}" ] || rm -rf "$place"
}

# The report that the last run left: a jq filter that must give true.
report() {
  jq -e "$1" report >/dev/null || {
    printf 'not so: %s\n' "$1"
    cat report
    return 1
  }
}

milliseconds() {
  echo $(($(date +%s%N) / 1000000))
}

# within MILLISECONDS STATUS COMMAND...
within() {
  local most=$1 wanted=$2 begin
  shift 2
  begin=$(milliseconds)
  run --separate-stderr "$@"
  [ "$status" -eq "$wanted" ] || { printf 'status %s, not %s: %s\n' "$status" "$wanted" "$stderr"; return 1; }
  [ $(($(milliseconds) - begin)) -lt "$most" ] || { printf 'too slow: %s\n' "$*"; return 1; }
}

# As a user without any other process; the place holds what that user can reach.
for_a_user() {
  needs_root
  place=$(mktemp -d /tmp/ayre-test.XXXXXX)
  chmod 755 "$place"
  mkdir -m 777 "$place/open"
  cp "$AYRE" "$place/ayre"
  cd "$place/open" || return
}

as_that_user() {
  setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
}

# --- what it is for ---

@test "prints what the shell's pipe prints" {
  touch a b c
  [ "$(ayre run ls :: wc -l)" = "$(ls | wc -l)" ]
  [ "$(ayre run ls '|' wc -l)" = 3 ]
  [ "$(ayre run -- ls :: sort -r :: head -1)" = c ]
  [ "$(ayre run echo one)" = one ]
}

@test "the command's own options are its own" {
  touch a b
  [ "$(ayre run ls -1 -r :: head -n 1)" = b ]
  [ "$(ayre run --strict echo --meter)" = --meter ]
  [ "$(ayre run -- echo -- --help)" = '-- --help' ]
  [ "$(ayre run printf '%s,' '' 'a b' '*' "it's")" = ",a b,*,it's," ]
}

@test "standard input reaches the first stage, standard error is everybody's" {
  [ "$(printf 'b\na\n' | ayre run sort :: head -1)" = a ]
  run --separate-stderr ayre run sh -c 'echo 1 >&2' :: sh -c 'echo 2 >&2'
  [ "$(printf '%s\n' "$stderr" | sort | tr -d '\n')" = 12 ]
}

@test "a thousand stages" {
  stages=()
  for _ in $(seq 998); do stages+=(:: cat); done
  [ "$(ayre run printf abc "${stages[@]}" :: wc -c)" -eq 3 ]
  # Those keep the limits that we were given.
  ulimit -S -n 512
  [ "$(ayre run sh -c 'ulimit -S -n' "${stages[@]}")" -eq 512 ]
}

@test "binary data comes through six stages unchanged" {
  head -c 8M /dev/urandom >bytes
  [ "$(ayre run cat bytes :: cat :: cat :: cat :: cat :: sha256sum)" = "$(sha256sum <bytes)" ]
  ayre run --input bytes --output copy --pipe-size 1M cat :: cat :: cat :: cat :: cat :: cat
  cmp bytes copy
}

@test "--input, --output, --append, --tee" {
  printf 'first' >input
  ayre run --input input --output out tr a-z A-Z
  [ "$(cat out)" = FIRST ]
  ayre run --input input --append out cat
  ayre run --input input --append new cat
  [ "$(cat out)" = FIRSTfirst ]
  [ "$(cat new)" = first ]
  ayre run --output out printf x
  [ "$(cat out)" = x ]
  head -c 3M /dev/urandom >bytes
  ayre run --input bytes --tee copy cat :: cat >passed
  cmp bytes copy
  cmp bytes passed
  ayre run --input bytes --tee copy --output out cat
  cmp bytes copy
  cmp bytes out
}

@test "--output empties no file for a command that cannot be started" {
  echo kept >out
  run -127 ayre run --output out "no-$long"
  [ "$(cat out)" = kept ]
}

@test "named pipes for --input and --output, and a signal while it waits for one" {
  mkfifo in out
  ayre run --input in --output out tr a b &
  background=$!
  echo aaa >in &
  [ "$(timeout 10 cat out)" = bbb ]
  wait "$background"
  background=
  run timeout --preserve-status -s TERM 0.3 "$AYRE" run --input in cat
  [ "$status" -eq 143 ]
}

@test "--pipe-size is asked for, and what was granted is told" {
  ayre run --pipe-size 128K --report json --report-file report true :: true :: true
  report '.pipes | length == 2 and all(.asked_bytes == 131072 and .granted_bytes == 131072)'
  [ "$(ayre run --pipe-size 128K sh -c 'sleep 0.2' :: sh -c 'exec python3 -c "import fcntl; print(fcntl.fcntl(0, 1032))"')" -eq 131072 ] ||
    ! command -v python3
}

# --- how it ends ---

@test "the exit status is that of the rightmost that failed" {
  run ayre run sh -c 'exit 3' :: sh -c 'exit 4' :: true
  [ "$status" -eq 4 ]
  run ayre run sh -c 'exit 3' :: cat
  [ "$status" -eq 3 ]
  run ayre run true :: false
  [ "$status" -eq 1 ]
  run ayre run true :: sh -c 'kill -KILL $$' :: cat
  [ "$status" -eq 137 ]
  ayre run true :: true
}

@test "SIGPIPE of a stage whose reader has had enough is no failure, unless --strict" {
  run --separate-stderr ayre run yes :: head -1
  [ "$status" -eq 0 ]
  [ "$output" = y ]
  [ -z "$stderr" ]
  run ayre run --strict yes :: head -1
  [ "$status" -eq 141 ]
  # Also where whoever started us ignores it.
  run --separate-stderr sh -c 'trap "" PIPE; "$AYRE" run yes :: head -1'
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
}

@test "exit status 141 is told from SIGPIPE" {
  run ayre run --report json --report-file report yes :: sh -c 'head -1; exit 141' :: cat
  [ "$status" -eq 141 ]
  report '.stages[0] | .outcome == "signaled" and .signal == 13 and .signal_name == "SIGPIPE" and (has("status") | not)'
  report '.stages[1] | .outcome == "exited" and .status == 141 and (has("signal") | not)'
}

@test "whoever reads our output goes away: it ends quietly" {
  for ignored in '' 'trap "" PIPE;'; do
    within 5000 141 bash -c "$ignored"' "$AYRE" run yes :: cat | head -1; exit "${PIPESTATUS[0]}"'
    [ "$output" = y ]
    [ -z "$stderr" ]
    within 5000 141 bash -c "$ignored"' "$AYRE" run --tee copy yes | head -1; exit "${PIPESTATUS[0]}"'
  done
}

# --- what cannot be started ---

@test "a command that is not there: 127, and no other stage has run" {
  fails 127 "no-$long: No such file or directory" ayre run touch x :: "no-$long"
  [[ "$stderr" == "ayre: run: "*"nothing was run" ]]
  fails 127 "./none: No such file or directory" ayre run ./none :: touch x
  fails 127 "No such file or directory" ayre run touch x :: ''
  fails 127 "No such file or directory" env -u PATH "$AYRE" run /bin/touch x :: "no-$long"
  [ ! -e x ]
}

@test "a file that is no program: 126, and no other stage has run" {
  echo text >plain
  printf 'echo hello\n' >script
  chmod +x script
  mkdir folder
  : >empty
  chmod +x empty
  fails 126 "./plain: Permission denied" ayre run touch x :: ./plain
  fails 126 "./script: Exec format error" ayre run touch x :: ./script
  fails 126 "./empty: Exec format error" ayre run touch x :: ./empty
  fails 126 "./folder: " ayre run touch x :: ./folder
  fails 126 "/: " ayre run touch x :: /
  fails 126 "./plain/x: Not a directory" ayre run touch x :: ./plain/x
  [ ! -e x ]
}

@test "a script with #! runs; one whose interpreter is missing does not" {
  printf '#!/bin/sh\necho "$1"\n' >good
  printf '#!/no/such/interpreter\n' >bad
  chmod +x good bad
  [ "$(ayre run ./good word :: cat)" = word ]
  run -127 --separate-stderr ayre run touch x :: ./bad
  [[ "$stderr" == "ayre: run: ./bad: "* ]]
  [ "$(printf '%s\n' "$stderr" | wc -l)" -eq 1 ]
}

@test "empty stages: exit 2, and which one it is" {
  fails 2 "such as: ayre run ls :: wc -l" ayre run
  fails 2 "such as: ayre run ls :: wc -l" ayre run --strict --
  fails 2 "stage 1 is empty" ayre run :: touch x
  fails 2 "stage 2 is empty" ayre run touch x ::
  fails 2 "stage 2 is empty" ayre run touch x :: :: cat
  fails 2 "stage 3 is empty" ayre run touch x '|' cat '|'
  fails 2 "stage 1 is empty" ayre run ::
  [ ! -e x ]
}

@test "options that cannot be: exit 2, and nothing runs" {
  fails 2 "--output and --append" ayre run --output a --append b touch x
  fails 2 "'xml' is not one of text|json" ayre run --report xml touch x
  fails 2 "--bogus: unknown option" ayre run --bogus touch x
  fails 2 "--timeout: it takes a value" ayre run --timeout
  for word in '' 5 s -1s +1s 1.5s 1S '1 s' 1d 0x1s 9223372036854775808us 99999999999999999h; do
    fails 2 "--timeout: '$word' is not a duration" ayre run "--timeout=$word" touch x
    fails 2 "--kill-after: '$word' is not a duration" ayre run "--kill-after=$word" touch x
  done
  fails 2 "--timeout: " ayre run --timeout 0s touch x
  fails 2 "--pipe-size: '1Q' is not a size" ayre run --pipe-size 1Q touch x
  fails 2 "--pipe-size: " ayre run --pipe-size 0 touch x
  [ ! -e x ]
}

@test "durations: what is one" {
  for word in 60000000us 60000ms 60s 1m 1h 1000000h; do
    ayre run --timeout "$word" true
  done
}

@test "files that cannot be opened: 125, and nothing has run" {
  mkdir folder
  fails 125 "none: No such file or directory" ayre run --input none touch x
  fails 125 "folder: Is a directory" ayre run --input folder touch x :: cat
  fails 125 "folder: Is a directory" ayre run --output folder touch x
  fails 125 "folder: Is a directory" ayre run --append folder touch x
  fails 125 "folder: Is a directory" ayre run --tee folder touch x
  fails 125 "folder/none/out: No such file or directory" ayre run --output folder/none/out touch x
  fails 125 "folder: Is a directory" ayre run --report-file folder touch x
  [ ! -e x ]
}

@test "a start that failed is in the report too" {
  run -127 ayre run --report json --report-file report touch x :: "no-$long" :: cat
  report '[.stages[].outcome] == ["not_started", "not_started", "not_started"]'
  report '[.stages[].pid] == [null, null, null] and .exit_status == 127 and .bottleneck == null'
  report '.stages[0].argv == ["touch", "x"]'
}

@test "out of processes: 125, and nothing has run" {
  for_a_user
  run --separate-stderr as_that_user bash -c 'ulimit -u 3; exec "$0" run touch x :: cat :: cat :: cat :: cat' \
    "$place/ayre"
  [ "$status" -eq 125 ]
  [[ "$stderr" == *"nothing was run" ]]
  [ "$(printf '%s\n' "$stderr" | wc -l)" -eq 1 ]
  [ ! -e x ]
  # None of them is left.
  until_true [ -z "$(pgrep -U "$user")" ]
  as_that_user bash -c 'ulimit -u 3; exec "$0" run true :: true' "$place/ayre"
}

@test "out of descriptors: 125, and nothing has run" {
  stages=()
  for _ in $(seq 100); do stages+=(:: cat); done
  run --separate-stderr bash -c 'ulimit -n 30; exec "$AYRE" run touch x "$@"' bash "${stages[@]}"
  [ "$status" -eq 125 ]
  [ ! -e x ]
}

@test "out of pipe quota: smaller pipes, and they are told" {
  for_a_user
  soft=$(cat /proc/sys/fs/pipe-user-pages-soft)
  [ "$soft" -gt 0 ] && [ "$soft" -le 32768 ] || skip "pipe-user-pages-soft is $soft"
  stages=()
  for _ in $(seq $((soft / 256 + 6))); do stages+=(:: cat); done
  run --separate-stderr as_that_user "$place/ayre" run --pipe-size 1M --report json \
    --report-file report --meter printf abc "${stages[@]}"
  [ "$status" -eq 0 ]
  [ "$output" = abc ]
  report '.pipes[0].granted_bytes == 1048576'
  report '[.pipes[] | select(.granted_bytes < .asked_bytes)] | length > 0'
  [[ "$stderr" == *"asked for"* ]]
}

# --- descriptors ---

@test "standard descriptors that are closed stay so, in every combination" {
  for closed in '<&-' '>&-' '2>&-' '<&- >&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
    echo "$closed"
    sh -c "\"\$AYRE\" run true :: true $closed"
    # What joins two stages is not mistaken for one that was missing.
    sh -c "\"\$AYRE\" run --output out --report json --report-file report echo abc :: cat $closed"
    [ "$(cat out)" = abc ]
    jq -e '.exit_status == 0' report
    rm out report
  done
}

@test "a stage gets a closed descriptor as one that cannot be used" {
  run sh -c '"$AYRE" run cat <&-'
  [ "$status" -eq 1 ]
  run sh -c '"$AYRE" run sh -c "echo x >&0" <&-'
  [ "$status" -ne 0 ]
  run sh -c '"$AYRE" run echo x :: cat >&-'
  [ "$status" -eq 1 ]
  run sh -c '"$AYRE" run sh -c "cat <&1" >&-'
  [ "$status" -ne 0 ]
  run sh -c '"$AYRE" run sh -c "echo x >&2" 2>&-'
  [ "$status" -ne 0 ]
}

@test "a stage has its three descriptors and no other" {
  exec 7<"$AYRE"
  run ayre run true :: sh -c 'ls /proc/$$/fd' :: sort
  exec 7<&-
  # dash opens its script as 10 at the most; -c has none.
  [ "$output" = $'0\n1\n2' ]
}

@test "a limit of a million descriptors costs nothing" {
  (ulimit -n 1000000) 2>/dev/null || skip "the limit cannot be raised"
  within 5000 0 bash -c 'ulimit -n 1000000
    for i in 1 2 3 4 5 6 7 8 9 10; do "$AYRE" run true :: true :: true :: true || exit; done'
}

# --- deadlines and signals ---

@test "--timeout: 124, within its time, with a line" {
  within 20000 124 ayre run --timeout 300ms sleep "$long" :: cat
  [[ "$stderr" == "ayre: run: not done after 300 ms"* ]]
  [ "$(printf '%s\n' "$stderr" | wc -l)" -eq 1 ]
  none_left
  within 20000 0 ayre run --timeout 60s true :: true
}

@test "--timeout ends a stage that ignores TERM, after --kill-after" {
  within 20000 124 ayre run --timeout 200ms --kill-after 200ms --report json --report-file report \
    sh -c 'trap "" TERM; while :; do sleep "$long"; done' :: cat
  none_left
  report '.stages[0].signal_name == "SIGKILL" and .exit_status == 124'
  # There is time for those who take it.
  within 20000 124 ayre run --timeout 200ms --kill-after 30s \
    sh -c 'trap "echo bye; exit 0" TERM; sleep "$long" & wait'
  [ "$output" = bye ]
}

@test "--timeout ends a stage that has stopped itself" {
  within 20000 124 ayre run --timeout 300ms sh -c 'kill -STOP $$; sleep "$long"' :: cat
  none_left
}

@test "--timeout ends what a stage has left behind with the pipe" {
  within 20000 124 ayre run --timeout 300ms sh -c 'sleep "$long" & exit 0' :: cat
  none_left
  # In a session of its own, its parents gone.
  within 20000 124 ayre run --timeout 500ms --report json --report-file report \
    sh -c 'setsid sh -c "(sleep \"\$long\" &) ; exit" & exit 0' :: cat
  none_left
  report '.stages[0].outcome == "exited" and .strays_ended >= 1'
  # And one that ignores TERM besides.
  within 20000 124 ayre run --timeout 500ms --kill-after 100ms \
    sh -c 'setsid sh -c "trap \"\" TERM; sleep \"\$long\"; sleep \"\$long\"" & exit 0' :: cat
  none_left
}

@test "what a stage has left behind without the pipe keeps nobody waiting" {
  within 20000 0 ayre run sh -c 'sleep "$long" >/dev/null 2>&1 & echo x' :: cat
  [ "$output" = x ]
}

# signalled SIGNAL STATUS COMMAND...: in the background, sent once its sleeper is there.
signalled() {
  local signal=$1 wanted=$2 result=0
  shift 2
  # bash's & has its children ignore SIGINT; env(1) gives that back.
  env --default-signal=INT,QUIT "$@" 3>&- &
  background=$!
  until_true some_left
  kill "-$signal" "$background"
  wait "$background" || result=$?
  background=
  [ "$result" -eq "$wanted" ] || { printf 'status %s, not %s\n' "$result" "$wanted"; return 1; }
  none_left
}

@test "TERM, HUP and INT end the tree, then ayre, by that signal; the report is written" {
  for signal in TERM HUP INT; do
    signalled "$signal" $((128 + $(kill -l "$signal"))) "$AYRE" run --report json --report-file report \
      sh -c 'setsid sleep "$long" & sleep "$long"' :: cat
    report ".exit_status == $((128 + $(kill -l "$signal"))) and (.stages | length) == 2"
    rm report
  done
}

@test "a second signal does not wait" {
  env --default-signal=INT "$AYRE" run --kill-after 60s sh -c 'trap "" TERM; sleep "$long"; sleep "$long"' 3>&- &
  background=$!
  until_true some_left
  sleep 0.2
  kill -TERM "$background"
  sleep 0.3
  kill -0 "$background"
  kill -TERM "$background"
  result=0
  begin=$(milliseconds)
  wait "$background" || result=$?
  background=
  [ "$result" -eq 143 ]
  [ $(($(milliseconds) - begin)) -lt 5000 ]
  none_left
}

@test "a signal that was ignored stays ignored" {
  (trap '' HUP; exec "$AYRE" run sh -c 'echo there; sleep 0.5; echo done' :: cat >out 3>&-) &
  background=$!
  until_true grep -q there out
  kill -HUP "$background"
  wait "$background"
  background=
  [ "$(tail -1 out)" = done ]
}

# in_terminal SECONDS KEYS COMMAND: on a terminal of its own, on which after a while somebody types.
in_terminal() {
  rm -f over
  {
    sleep "$1"
    printf '%b' "$2"
    until [ -e over ]; do sleep 0.05; done
  } | {
    result=0
    SHELL=/bin/sh TERM=xterm script -qefc "$3" /dev/null 3>&- || result=$?
    touch over
    exit "$result"
  }
}

@test "Ctrl-C on a terminal ends the stages, and ayre by SIGINT" {
  within 20000 130 in_terminal 0.7 '\003' 'exec "$AYRE" run sleep "$long" :: cat'
  none_left
  # A stage that has its own way to end gets the time for it.
  within 20000 130 in_terminal 0.7 '\003' \
    'exec "$AYRE" run sh -c "trap \"echo mine; exit 0\" INT; sleep \"\$long\""'
  [[ "$output" == *mine* ]]
  none_left
}

@test "Ctrl-C on a terminal ends stages that do not care for it" {
  within 9000 130 in_terminal 0.7 '\003' \
    'exec "$AYRE" run sh -c "trap \"\" INT; sleep \"\$long\"" :: cat'
  none_left
}

# --- the report ---

@test "--report json: every key, and its type" {
  ayre run --report json --report-file report sh -c 'head -c 3000000 /dev/zero; sleep 0.2' :: cat :: wc -c
  report '(.stages | type) == "array" and (.pipes | type) == "array"'
  report '(.wall_ns | type) == "number" and .wall_ns > 100000000 and .exit_status == 0'
  report '.bottleneck == null or (.bottleneck >= 1 and .bottleneck <= 3)'
  report '.strays_ended == 0 and .error == null'
  report '.stages | length == 3'
  report 'all(.stages[]; (.argv | type) == "array" and (.pid | type) == "number" and .pid > 1)'
  report 'all(.stages[]; .outcome == "exited" and .status == 0)'
  report 'all(.stages[] | .wall_ns, .user_ns, .system_ns; type == "number" and . == floor and . >= 0)'
  report 'all(.stages[] | .max_rss_bytes, .read_bytes, .written_bytes; . == null or (type == "number" and . == floor and . >= 0))'
  report '.stages[1].argv == ["cat"] and .stages[2].argv == ["wc", "-c"]'
  report '.pipes | length == 2'
  report 'all(.pipes[]; .asked_bytes > 0 and .granted_bytes > 0 and (.mean_fill | type) == "number" and .mean_fill >= 0 and .mean_fill <= 1)'
  report '[.pipes[] | [.from, .to]] == [[1, 2], [2, 3]]'
}

@test "the report's bytes are those that went through" {
  ayre run --report json --report-file report sh -c 'head -c 3000000 /dev/zero; sleep 0.3' :: sh -c 'cat; sleep 0.3' >/dev/null
  report '.pipes[0].passed_bytes | . == null or (. >= 2900000 and . <= 3100000)'
}

@test "--report: to standard error, text by default for a file" {
  run --separate-stderr ayre run --report json echo one :: cat
  [ "$output" = one ]
  printf '%s' "$stderr" >report
  report '.stages | length == 2'
  run --separate-stderr ayre run --report text echo one :: sh -c 'cat; exit 7'
  [ "$status" -eq 7 ]
  [ "$output" = one ]
  [[ "$stderr" == *"echo one"*"ended 0"*"ended 7"*"exit status 7"* ]]
  ayre run --report-file report echo one :: cat
  grep -q 'exit status 0' report
}

@test "--report: words that are not text are shown harmless" {
  bad=$(printf 'a\033[31m\n\377b')
  ayre run --report json --report-file report echo "$bad" >/dev/null
  report '.stages[0].argv | length == 2'
  run --separate-stderr env LC_ALL=C.UTF-8 "$AYRE" run --report text --meter echo "$bad"
  [[ "$stderr" != *$'\033'* ]]
  [[ "$stderr" == *'a?[31m??b'* ]]
}

@test "a report that cannot be written: 125" {
  fails 125 "/dev/full: " ayre run --report json --report-file /dev/full true
  [[ "$stderr" == *"No space left on device"* ]]
  run sh -c '"$AYRE" run --report json true 2>/dev/full'
  [ "$status" -eq 125 ]
}

@test "an output or a copy that cannot be written is no success" {
  run ayre run --output /dev/full echo x
  [ "$status" -eq 1 ]
  run --separate-stderr ayre run --tee /dev/full head -c 1M /dev/zero
  [ "$status" -eq 125 ]
  [[ "$stderr" == *"/dev/full: No space left on device"* ]]
}

# --- the meter ---

@test "--meter without a terminal: a plain table, once, at the end" {
  run --separate-stderr env LC_ALL=C "$AYRE" run --meter head -c 1M /dev/zero :: cat :: wc -c
  [ "$status" -eq 0 ]
  [ "$output" = 1048576 ]
  [[ "$stderr" != *$'\033'* ]]
  [ "$(grep -c 'head -c 1M' <<<"$stderr")" -eq 1 ]
  [[ "$stderr" == *"1 head -c 1M /dev/zero"*"ended 0"*"| ["*"] 256K"*"2 cat"*"3 wc -c"* ]]
  [[ "$(tail -1 <<<"$stderr")" == *" the others up" || "$(tail -1 <<<"$stderr")" == "stage "* ]]
  ! LC_ALL=C grep -q '[^ -~]' <<<"$stderr"
}

@test "--meter on a terminal: drawn again in place, never wider than it" {
  run in_terminal 0.1 '' 'stty cols 50; LC_ALL=C.UTF-8 "$AYRE" run --meter sh -c "sleep 0.6 # a long line of words that nobody can show" :: cat'
  [ "$status" -eq 0 ]
  # The header, two stages, the pipe, the sentence.
  [[ "$output" == *$'\033[5A'* ]]
  [[ "$output" == *▕*▏* ]]
  # Without colours and moves no line is longer.
  widest=$(printf '%s\n' "$output" | tr -d '\r' | sed 's/\x1b\[[0-9]*[A-Za-z]//g' | LC_ALL=C.UTF-8 wc -L)
  [ "$widest" -le 50 ]
}

@test "--meter: nothing live with NO_COLOR or on a dumb terminal" {
  for setting in NO_COLOR=1 TERM=dumb; do
    run in_terminal 0.1 '' "$setting \"\$AYRE\" run --meter sleep 0.4 :: cat"
    [[ "$output" != *$'\033'* ]]
    [ "$(grep -c 'sleep 0.4' <<<"$output")" -eq 1 ]
  done
}

@test "--meter names the stage that holds the rest up" {
  [ "$(nproc)" -ge 2 ] || skip "needs two processors"
  run --separate-stderr ayre run --timeout 20s --meter head -c 150M /dev/zero :: gzip :: cat :: wc -c
  [ "$status" -eq 0 ]
  [[ "$(tail -1 <<<"$stderr")" == "stage 2, gzip, holds the rest up: running "*" %; stage 1 blocked on output "* ]]
}
