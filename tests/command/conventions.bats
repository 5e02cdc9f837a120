#!/usr/bin/env bats
# What every command of ayre's keeps: help, streams, exit codes, one-line errors, sizes.

bats_require_minimum_version 1.5.0
load support

@test "no command: a short help on standard error, exit 2" {
  run --separate-stderr ayre
  [ "$status" -eq 2 ]
  [ -z "$output" ]
  [[ "$stderr" == *"ayre segment create"* ]]
}

@test "--help and help print to standard output, exit 0" {
  for words in --help -h help 'segment --help' 'help segment' 'help segment create' \
    'segment create --help' 'bench --help' 'run --help' 'help run' 'segment write x --help'; do
    # shellcheck disable=SC2086
    run --separate-stderr ayre $words
    [ "$status" -eq 0 ]
    [ -n "$output" ]
    [ -z "$stderr" ]
  done
}

# A summary begins with a verb. What is too long for the column of the options has a line of its own.
@test "the help of each command is aligned, and says what it does" {
  ayre help | sed -n 's/^  ayre \(.*[a-z]\)  *\([A-Z][a-z]*\) .*/\2/p' | sort -u >verbs
  [ "$(grep -cxE 'Every|One|The|Which|What|All' verbs)" -eq 0 ]
  [ "$(wc -l <verbs)" -ge 10 ]
  ayre help | sed -n 's/^  ayre \([a-z]*\( [a-z]\{2,\}\)\{0,1\}\)  *.*/\1/p' | grep -v '^help' >commands
  while IFS= read -r words; do
    # shellcheck disable=SC2086
    ayre help $words | sed -n '/^options:/,$p' | grep '^  --' | grep -vE '^  --[a-z-]+ [^ ]+$' >options
    # Each text begins in the column of the last one, which is that of --help.
    column=$(tail -1 options | sed 's/this text$//' | tr -d '\n' | wc -c)
    [ "$(cut -c"$column" options | sort -u)" = ' ' ]
    [ "$(cut -c"$((column + 1))" options | grep -c '^ ')" -eq 0 ]
  done <commands
}

@test "a noun without a verb: its verbs on standard error, exit 2" {
  run --separate-stderr ayre segment
  [ "$status" -eq 2 ]
  [ -z "$output" ]
  [[ "$stderr" == *"ayre segment list"* ]]
}

@test "--version" {
  run ayre --version
  [ "$status" -eq 0 ]
  [[ "$output" =~ ^ayre\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "unknown words: exit 2, and the nearest one is named" {
  fails 2 "did you mean 'segment'" ayre segmnt
  fails 2 "did you mean 'create'" ayre segment crate x
  fails 2 "see 'ayre help'" ayre frobnicate
  fails 2 "see 'ayre help topic'" ayre topic frobnicate
  fails 2 "'-V' is not known; see" ayre -V
  fails 2 "--bogus: unknown option" ayre segment create x --bogus
  fails 2 "-z: unknown option" ayre segment list -z
  fails 2 "is not known" ayre help frobnicate
}

@test "operands: too few, too many" {
  fails 2 "NAME" ayre segment read
  fails 2 "'y' is one word too many" ayre segment read x y
  fails 2 "NAME SIZE" ayre segment resize x
  fails 2 "MODULE.so FUNCTION [--memory SIZE] [--cpu DURATION] [--timeout DURATION] [--read PATH]" ayre call
  fails 2 "'x' is one word too many" ayre help topic create x
  fails 2 "'x' is one word too many" ayre help doctor x
}

@test "options: no value, a value too many" {
  fails 2 "--size: it takes a value" ayre segment create x --size
  fails 2 "--exclusive: it takes no value" ayre segment create x --exclusive=1 --size 1
}

@test "sizes: what is one" {
  for pair in 1:1 20:20 1K:1024 64K:65536 1M:1048576; do
    ayre segment create "./$name" --size "${pair%%:*}"
    [ "$(stat -c %s "$name")" -eq "${pair#*:}" ]
    rm "$name"
  done
}

@test "sizes: what is none names the word, exit 2, nothing made" {
  for word in '' x 12q -1 +1 1.5K 1KB 1k '1 K' ' 1' 0x10 9223372036854775808 8388608T \
    99999999999999999999; do
    fails 2 "'$word' is not a size" ayre segment create "./$name" "--size=$word"
  done
  fails 2 "1 byte or more" ayre segment create "./$name" --size 0
  [ ! -e "$name" ]
}

@test "an error is one line that names command and object" {
  ayre segment create "$name" --size 1K
  run --separate-stderr ayre segment create "$name" --size 1K --exclusive
  [ "$status" -eq 1 ]
  [ "$stderr" = "ayre: segment create: $name: File exists" ]
  fails 1 "?two" ayre segment read "one"$'\n'"two"
}

@test "a full standard output is an error, exit 1" {
  ayre segment write "$name" text
  run --separate-stderr sh -c '"$1" segment read "$2" >/dev/full' sh "$AYRE" "$name"
  [ "$status" -eq 1 ]
  [[ "$stderr" == *"standard output: No space left on device"* ]]
  run sh -c '"$1" segment list --json >/dev/full' sh "$AYRE"
  [ "$status" -eq 1 ]
  run sh -c '"$1" help >/dev/full' sh "$AYRE"
  [ "$status" -eq 1 ]
}

@test "a closed standard output is an error, and no segment gets the output" {
  printf 'abc' | ayre segment write "./$name" --size 3
  run --separate-stderr sh -c '"$1" segment read "./$2" >&-' sh "$AYRE" "$name"
  [ "$status" -eq 1 ]
  [ "$(cat "$name")" = abc ]
}

@test "a reader that goes away ends it quietly" {
  ayre segment create "$name" --size 4M
  run --separate-stderr bash -c 'set -o pipefail; "$1" segment read "$2" | head -c 1 >/dev/null' \
    bash "$AYRE" "$name"
  [ "$status" -eq 141 ]
  [ -z "$stderr" ]
  # Also where SIGPIPE was ignored by whoever started it.
  run --separate-stderr bash -c 'trap "" PIPE; set -o pipefail
    "$1" segment read "$2" | head -c 1 >/dev/null' bash "$AYRE" "$name"
  [ "$status" -eq 141 ]
  [ -z "$stderr" ]
}

@test "SIGINT and SIGTERM end it by that signal" {
  ayre segment write "$name" text
  for signal in INT TERM; do
    # Not by the shell's &, which has its children ignore SIGINT.
    run timeout --preserve-status -s "$signal" 0.3 "$AYRE" segment read "$name" --follow
    [ "$status" -eq $((128 + $(kill -l "$signal"))) ]
  done
}

@test "a file size limit is an error, not a signal" {
  run --separate-stderr bash -c 'ulimit -f 1; "$1" segment create "./$2" --size 1M' bash "$AYRE" "$name"
  [ "$status" -eq 1 ]
  [[ "$stderr" == *"File too large"* ]]
  [ ! -e "$name" ]
}
