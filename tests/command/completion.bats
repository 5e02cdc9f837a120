#!/usr/bin/env bats
# ayre completion: the scripts are read by their own shells, and asked what they would answer.

bats_require_minimum_version 1.5.0
load support

setup() {
  cd "$BATS_TEST_TMPDIR" || return
  name="ayre-test-$$-$BATS_TEST_NUMBER"
  # In memory: topics on a disk have a half there that stays.
  place=$(mktemp -d /dev/shm/ayre-completion.XXXXXX)
  export AYRE_DIR=$place
  mkdir bin
  ln -s "$AYRE" bin/ayre
  PATH=$BATS_TEST_TMPDIR/bin:$PATH
  for shell in bash fish zsh; do
    ayre completion "$shell" >"ayre.$shell"
  done
}

# The rows of `ayre help`, as in the test of the manual.
commands() {
  ayre help | sed -n 's/^  ayre \([a-z]*\( [a-z]\{2,\}\)\{0,1\}\)  *.*/\1/p' | grep -v '^help'
}

# options COMMAND...
options() {
  ayre "$@" --help | sed -n 's/^  --\([a-z-]*\).*/\1/p'
}

# --- what each shell answers for a line: one word a line ---

# Cut as bash cuts it, at spaces and at '=' and ':'.
bash_answers() {
  bash --norc -c '
    source ./ayre.bash
    COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=()
    rest=$COMP_LINE
    while [[ $rest =~ ^[[:space:]]*([=:]+|[^[:space:]=:]+) ]]; do
      COMP_WORDS+=("${BASH_REMATCH[1]}")
      rest=${rest:${#BASH_REMATCH[0]}}
    done
    [[ $COMP_LINE != *[[:space:]] ]] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _ayre
    [[ ${#COMPREPLY[@]} -eq 0 ]] || printf "%s\n" "${COMPREPLY[@]}"' bash "$1"
}

fish_answers() {
  HOME=$BATS_TEST_TMPDIR fish --no-config -c 'source ./ayre.fish; complete -C $argv[1]' "$1" | cut -f 1
}

# zsh completes in its line editor only: a terminal is played for it, and the functions that add an answer tell it.
zsh_answers() {
  HOME=$BATS_TEST_TMPDIR zsh -f "$BATS_TEST_DIRNAME/completion_zsh" ./ayre.zsh "$1"
}

needs_shell() {
  command -v "$1" >/dev/null || skip "$1 is not installed"
}

# answers SHELL LINE WORD...: exactly these, in any order.
answers() {
  local shell=$1 line=$2
  shift 2
  diff <("${shell}_answers" "$line" | sort -u) <([ $# -eq 0 ] || printf '%s\n' "$@" | sort -u) >difference || {
    printf '%s: %s\n' "$shell" "$line"
    cat difference
    return 1
  }
}

# --- the same for all three ---

# Whatever the help shows is answered, and nothing else.
knows_everything() {
  local shell=$1 command
  commands >commands
  [ "$(wc -l <commands)" -ge 20 ]
  # shellcheck disable=SC2046
  answers "$shell" 'ayre ' $(cut -d ' ' -f 1 commands) help
  # shellcheck disable=SC2046
  answers "$shell" 'ayre help ' $(cut -d ' ' -f 1 commands)
  for noun in segment fifo topic worker; do
    # shellcheck disable=SC2046
    answers "$shell" "ayre $noun " $(sed -n "s/^$noun //p" commands)
    # shellcheck disable=SC2046
    answers "$shell" "ayre help $noun " $(sed -n "s/^$noun //p" commands)
  done
  while IFS= read -r command; do
    # shellcheck disable=SC2046,SC2086
    answers "$shell" "ayre $command --" $(options $command | sed 's/^/--/')
  done <commands
}

knows_values() {
  local shell=$1
  answers "$shell" 'ayre topic create t --sync ' none group each
  answers "$shell" 'ayre run --report j' json
  answers "$shell" 'ayre segment list --backing s' sysv shm
  answers "$shell" 'ayre sub t --from ' next oldest
  answers "$shell" 'ayre bench w' worker
  answers "$shell" 'ayre completion ' bash fish zsh
  answers "$shell" 'ayre worker selftest --tier no-' no-namespaces no-landlock no-seccomp
  # shellcheck disable=SC2046
  answers "$shell" 'ayre call m f --without ' $(ayre worker posture | cut -d ' ' -f 1)
  answers "$shell" 'ayre pub t --timeout '
}

# Of what there is. A name may hold anything, and none of it is run.
knows_names() {
  local shell=$1
  ayre pub prices x
  ayre pub orders x
  ayre segment create "$name" --size 1
  ayre segment create "$name.\$(touch run)" --size 1
  touch 'module one.so' module.so
  mkdir directory
  answers "$shell" 'ayre sub ' orders prices
  answers "$shell" 'ayre topic show --json p' prices
  answers "$shell" 'ayre topic create --size 1M p' prices
  answers "$shell" 'ayre gc prices o' orders
  answers "$shell" 'ayre pub prices '
  "${shell}_answers" "ayre segment read shm:$name" >found
  [ "$(grep -c "$name" found)" -eq 2 ]
  [ ! -e run ]
  "${shell}_answers" 'ayre call mod' >found
  grep 'module.so' found
  grep 'module.*one' found
  "${shell}_answers" 'ayre run --input mod' >found
  grep 'module.so' found
  "${shell}_answers" 'ayre segment write file:dir' >found
  grep directory found
  "${shell}_answers" 'ayre bench --directory ' >found
  grep directory found
  run ! grep module found
}

# Programs, their arguments, and no options of ours.
knows_pipelines() {
  local shell=$1
  touch 'numbers'
  "${shell}_answers" 'ayre run unsh' >found
  grep -x unshare found
  "${shell}_answers" 'ayre run --report text sort num' >found
  grep numbers found
  "${shell}_answers" 'ayre run sort numbers :: unsh' >found
  grep -x unshare found
  "${shell}_answers" 'ayre run sort --rep' >found
  run ! grep -e --report found
}

@test "bash: every command and option" {
  knows_everything bash
}

@test "bash: values, after a space and after '='" {
  knows_values bash
  answers bash 'ayre topic create t --sync=' none group each
  answers bash 'ayre topic create t --sync=g' group
}

@test "bash: names, of which only the part behind a colon is answered" {
  knows_names bash
  answers bash "ayre segment read shm:$name" "$name" "$name.\$(touch run)"
}

@test "bash: pipelines" {
  knows_pipelines bash
}

@test "zsh: every command and option" {
  needs_shell zsh
  zsh -n ayre.zsh
  knows_everything zsh
}

@test "zsh: values" {
  needs_shell zsh
  knows_values zsh
}

@test "zsh: names" {
  needs_shell zsh
  knows_names zsh
}

@test "zsh: pipelines" {
  needs_shell zsh
  knows_pipelines zsh
}

@test "fish: every command and option" {
  needs_shell fish
  fish --no-execute ayre.fish
  knows_everything fish
}

@test "fish: values" {
  needs_shell fish
  knows_values fish
}

@test "fish: names" {
  needs_shell fish
  knows_names fish
}

@test "fish: pipelines" {
  needs_shell fish
  knows_pipelines fish
}
