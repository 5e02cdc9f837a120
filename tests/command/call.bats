#!/usr/bin/env bats
# ayre call: replies, failures and deaths of a module's functions, as root and as an ordinary user.

bats_require_minimum_version 1.5.0
load support

# Where every user can reach them.
setup_file() {
  reachable=$(mktemp -d /tmp/ayre-modules.XXXXXX)
  chmod 755 "$reachable"
  cp "$MODULE_DIR"/module_*.so "$AYRE_ZYGOTE" "$reachable"
  export reachable MODULE_DIR=$reachable AYRE_ZYGOTE=$reachable/${AYRE_ZYGOTE##*/}
}

teardown_file() {
  rm -rf "$reachable"
}

functions=$MODULE_DIR/module_functions.so

replies() {
  printf hello >request
  "$1" call "$functions" echo <request >reply
  cmp request reply
  head -c 3000000 /dev/urandom >request
  "$1" call "$functions" echo <request >reply
  cmp request reply
  [ -z "$("$1" call "$functions" silent </dev/null)" ]
}

@test "a reply is what the function wrote" {
  for_each_user replies
}

# dies CODE TEXT COMMAND FUNCTION [OPTION]...
dies() {
  local code=$1 text=$2 who=$3
  shift 3
  fails "$code" "$text" "$who" call "$functions" "$@" </dev/null
}

deaths() {
  dies 139 'killed by SIGSEGV at address 0x10' "$1" die_segv
  dies 134 'killed by SIGABRT' "$1" die_abort
  dies 139 'its stack was full' "$1" die_stack
  dies 159 'the forbidden system call chdir' "$1" die_forbidden
  dies 139 'memory was refused to it' "$1" die_memory --memory 64M
  dies 124 'the deadline passed, and it was computing' "$1" loop --timeout 1s
  dies 124 'the deadline passed, and it was asleep' "$1" deadlock --timeout 300ms
  dies 152 'its processor time was used up' "$1" loop --cpu 1s
  dies 1 'called exit, with status 3' "$1" leave
}

@test "each death has its name and its exit status" {
  for_each_user deaths
}

@test "a function that fails: 1, and no reply" {
  fails 1 'fail: it returned -7' ayre call "$functions" fail </dev/null
}

@test "what cannot be loaded: 126, and what the loader said" {
  fails 126 'No such file' ayre call ./none.so echo </dev/null
  fails 126 'no such function' ayre call "$functions" none </dev/null
  fails 126 'nobody_has_this' ayre call "$MODULE_DIR/module_unresolved.so" call_it </dev/null
  fails 126 'forbidden system call socket' ayre call "$MODULE_DIR/module_socket.so" verdict </dev/null
  echo text >text.so
  fails 126 'text.so' ayre call ./text.so echo </dev/null
}

@test "--report json" {
  run -139 --separate-stderr ayre call "$functions" die_segv --report json </dev/null
  [ -z "$output" ]
  printf '%s' "$stderr" >report.json
  [ "$(jq -c '[.function, .end, .signal, .signal_number, .address, .system_call]' report.json)" = \
    '["die_segv","killed","SIGSEGV",11,"0x10",null]' ]
  run -159 --separate-stderr ayre call "$functions" die_forbidden --report json </dev/null
  [ "$(jq -c '[.end, .system_call]' <<<"$stderr")" = '["forbidden","chdir"]' ]
  run -124 --separate-stderr ayre call "$functions" loop --timeout 1s --report json </dev/null
  [ "$(jq -c '[.end, .was_busy]' <<<"$stderr")" = '["deadline",true]' ]
}

@test "--report json: what the dead have used" {
  for death in die_segv die_abort die_stack die_forbidden leave 'loop --timeout 300ms'; do
    # shellcheck disable=SC2086
    run --separate-stderr ayre call "$functions" $death --report json </dev/null
    jq -e '.cpu_ns > 0 and .max_rss_bytes > 100000' <<<"$stderr"
  done
}

@test "--read: what a constructor may see; --without: a layer less" {
  [ "$(ayre call "$MODULE_DIR/module_snoop.so" verdict </dev/null | od -An -tu4 | tr -d ' ')" = 0 ]
  [ "$(ayre call "$MODULE_DIR/module_snoop.so" verdict --read /bin --read /etc </dev/null |
    od -An -tu4 | tr -d ' ')" = 1 ]
  fails 126 '/none' ayre call "$functions" silent --read /none </dev/null
  ayre call "$functions" silent --without landlock --without code </dev/null
}

@test "operands and options" {
  run -2 --separate-stderr ayre call "$functions" </dev/null
  [[ "$stderr" == 'ayre: call: something is missing: MODULE.so FUNCTION '* ]]
  fails 2 'one word too many' ayre call "$functions" echo more </dev/null
  fails 2 "'roof' is not a layer" ayre call "$functions" echo --without roof </dev/null
  fails 2 "'xml' is not one of text|json" ayre call "$functions" echo --report xml </dev/null
  fails 2 'nothing runs' ayre call "$functions" echo --memory 0 </dev/null
  fails 2 'nothing runs' ayre call "$functions" echo --cpu 0s </dev/null
  fails 2 'nothing runs' ayre call "$functions" echo --timeout 0s </dev/null
}

@test "an interrupted call leaves no process" {
  "$AYRE" call "$functions" loop --timeout 60s </dev/null &
  background=$!
  worker_of() { pgrep -P "$(pgrep -P "$(pgrep -P "$1" || echo 0)" || echo 0)"; }
  until_true worker_of "$background"
  zygote=$(pgrep -P "$(pgrep -P "$background")")
  worker=$(pgrep -P "$zygote")
  kill -KILL "$background"
  wait "$background" || true
  background=
  # Whoever takes orphans may be slow to reap them.
  gone() { ! grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$zygote/status" "/proc/$worker/status"; }
  until_true gone
}
