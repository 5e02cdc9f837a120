#!/usr/bin/env bats
# ayre worker and ayre call inside of what is like a container: namespaces, roots and filters that somebody else has laid.
# Either all mandatory layers hold, or one line says which does not; never a hang, and never a false `confined`.

bats_require_minimum_version 1.5.0
load support
load container

# Not skipped here, which bats 1.8 takes for a failure.
setup_file() {
  export missing=
  if ! command -v bwrap >/dev/null; then
    missing="bubblewrap is not installed"
  elif ! bwrap --unshare-all --ro-bind / / true 2>/dev/null; then
    missing="bubblewrap does not work here"
  fi
  [ -z "$missing" ] || return 0
  # In every container below this is all that is there of us.
  reachable=$(mktemp -d /tmp/ayre-container.XXXXXX)
  chmod 755 "$reachable"
  cp "$MODULE_DIR"/module_{functions,detach,flee}.so "$AYRE_ZYGOTE" "$AYRE" "$(dirname "$AYRE")"/../libayre.so.0 "$reachable"
  install -m 755 "$BATS_TEST_DIRNAME/outer.py" "$reachable/outer"
  export reachable AYRE=$reachable/ayre AYRE_ZYGOTE=$reachable/ayre-zygote LD_LIBRARY_PATH=$reachable
}

teardown_file() {
  [ -z "${reachable:-}" ] || rm -rf "$reachable"
}

setup() {
  [ -z "$missing" ] || skip "$missing"
  cd "$BATS_TEST_TMPDIR" || return
}

# Nothing is made outside of the test's own directory.
teardown() {
  :
}

# old_docker ANSWER: the profiles from before Landlock.
old_docker() {
  local number
  printf '%s' "$docker"
  for number in $landlock; do
    printf ' %s=%s' "$number" "$1"
  done
}

# within COMMAND...: in a container of the kind that $container says, as an ordinary user where root asks.
within() {
  if [ "$(id -u)" -eq 0 ]; then
    # shellcheck disable=SC2086
    timeout 60 setpriv --reuid=54321 --regid=54321 --clear-groups $container "$@"
  else
    # shellcheck disable=SC2086
    timeout 60 $container "$@"
  fi
}

calls() {
  run -0 --separate-stderr within "$AYRE" call "$reachable/module_functions.so" echo "$@" <<<hello
  [ "$output" = hello ]
  [ -z "$stderr" ]
}

# holds LAYER...: all mandatory layers hold, these too, and the others do not; nobody gets out; calls are answered.
holds() {
  local posture
  posture=$(within "$AYRE" worker posture --json)
  [ "$(jq -r '.confined' <<<"$posture")" = true ]
  [ "$(jq -r '[.layers[] | select(.holds and (.mandatory | not)) | .name] | join(" ")' <<<"$posture")" = "$*" ]
  run -0 --separate-stderr within "$AYRE" worker selftest --tier full --json
  [ -z "$stderr" ]
  jq -e '[.attempts[] | select(.got_out)] == []' <<<"$output"
  jq -e '.tiers[0] | .confined and .attempts >= 120' <<<"$output"
  calls
}

# lacks LAYER TEXT: each says so in one line, and nothing is run.
lacks() {
  run -1 within "$AYRE" worker posture
  grep -q "^$1  *does not hold: " <<<"$output"
  run -1 --separate-stderr within "$AYRE" worker selftest --tier full --json
  jq -e '.attempts == [] and (.tiers[0].confined | not)' <<<"$output"
  [[ "$stderr" == "ayre: worker selftest: $1: "*"$2"* ]]
  [ "$(wc -l <<<"$stderr")" -eq 1 ]
}

@test "namespaces of its own, with and without rights in them" {
  container="bwrap --unshare-user --unshare-pid --unshare-ipc --unshare-uts --ro-bind / / --dev /dev --proc /proc"
  holds namespaces code
  container="bwrap --unshare-all --uid 0 --gid 0 --ro-bind / / --dev /dev --proc /proc"
  holds code
  container="unshare -r"
  holds namespaces code
}

@test "a root with little in it, none of which can be written" {
  container="bwrap --unshare-user --unshare-pid --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64"
  container+=" --symlink usr/bin /bin --ro-bind $reachable $reachable --dev /dev --proc /proc --remount-ro /"
  holds namespaces code
}

@test "parts of /proc that are covered" {
  container="bwrap --unshare-user --unshare-pid --ro-bind / / --dev /dev --proc /proc --tmpfs /proc/sys"
  container+=" --ro-bind /dev/null /proc/kallsyms --ro-bind /dev/null /proc/timer_list --tmpfs /proc/fs"
  # The kernel lets nobody mount a whole /proc who has not a whole one; nothing here depends on it.
  holds namespaces code
  # That of another process namespace, and read-only.
  container="bwrap --unshare-user --unshare-pid --ro-bind / / --dev /dev"
  holds code
}

@test "no /proc: how much is mapped cannot be told" {
  ! grep -q __asan_init "$AYRE" || skip "a sanitizer says something of its own without /proc"
  container="bwrap --unshare-all --ro-bind / / --dev /dev --tmpfs /proc"
  lacks limits "mount /proc"
  run -126 --separate-stderr within "$AYRE" call "$reachable/module_functions.so" echo <<<hello
  [ -z "$output" ]
  [ "$(wc -l <<<"$stderr")" -eq 1 ]
  [[ "$stderr" == *"/module_functions.so: "*": where it lies is read from /proc: mount it"* ]]
  # And where unshare is refused too, whether there are other threads.
  container+=" $reachable/outer $unshare=1 --"
  fails 1 'threads: No such file or directory: whether there are others cannot be told: mount /proc' \
    within "$AYRE" worker posture
}

@test "no /dev/null that can be opened" {
  container="bwrap --unshare-all --ro-bind / / --proc /proc --tmpfs /dev"
  fails 126 '/dev/null: No such file or directory: a worker has it for' \
    within "$AYRE" call "$reachable/module_functions.so" echo </dev/null
}

@test "nowhere to put the bait: said, and where to" {
  container="bwrap --unshare-all --ro-bind / / --proc /proc"
  run -0 within "$AYRE" worker posture
  run -1 --separate-stderr within "$AYRE" worker selftest --tier full
  [[ "$stderr" == "ayre: worker selftest: bait: Read-only file system: "*"AYRE_DIR"* ]]
  container+=" --tmpfs /tmp --ro-bind $reachable $reachable --setenv AYRE_DIR /tmp"
  run -0 within "$AYRE" worker selftest --tier full --attempt read-file
}

@test "user namespaces that a filter refuses, as docker's" {
  container="$reachable/outer $docker --"
  holds code
  # In the other tiers as well.
  run -0 --separate-stderr within "$AYRE" worker selftest --json
  jq -e '.tiers[:4] | all(.confined and .attempts >= 120 and .got_out == 0)' <<<"$output"
  # All of unshare, which also tells whether there are other threads.
  container="$reachable/outer $unshare=1 --"
  holds code
}

@test "Landlock that a filter refuses or hides, as old docker's" {
  container="$reachable/outer $(old_docker 1) --"
  lacks landlock "allow them there, or do without"
  fails 1 'landlock: Operation not permitted: ' within "$AYRE" call "$reachable/module_functions.so" echo </dev/null
  calls --without landlock
  container="$reachable/outer $(old_docker 38) --"
  lacks landlock "can be done without"
  fails 1 'landlock: Function not implemented: ' within "$AYRE" call "$reachable/module_functions.so" echo </dev/null
  calls --without landlock
  run -0 --separate-stderr within "$AYRE" worker selftest --tier no-landlock --json
  jq -e '.tiers[0].confined and .tiers[0].got_out == 0' <<<"$output"
}

@test "filters that refuse what the layers are made of" {
  container="$reachable/outer $seccomp=1 --"
  lacks seccomp "forbids it"
  container="$reachable/outer $seccomp=38 --"
  lacks seccomp "a container hides it"
  container="$reachable/outer $close_range=38 --"
  lacks descriptors "close_range"
}

@test "a filter that refuses limits" {
  ! grep -q __asan_init "$AYRE" || skip "a sanitizer asks for them, and ends without"
  container="$reachable/outer $prlimit=1 --"
  lacks limits "forbids prlimit64"
  fails 1 'limits: Operation not permitted: ' within "$AYRE" call "$reachable/module_functions.so" echo </dev/null
}

# Nothing confined, nothing answered, and an end.
@test "filters that kill" {
  for number in $seccomp ${landlock%% *} $unshare $close_range; do
    container="$reachable/outer $number=kill --"
    run -1 --separate-stderr within "$AYRE" worker posture
    [ -z "$output" ]
    [[ "$stderr" == *"killed by signal 31: a filter from outside"* ]]
    run -1 --separate-stderr within "$AYRE" worker selftest --tier full --json
    jq -e '.attempts == [] and (.tiers[0].confined | not)' <<<"$output"
    run --separate-stderr within "$AYRE" call "$reachable/module_functions.so" echo </dev/null
    [ -z "$output" ]
    # A worker does without namespaces, and does not ask for them.
    if [ "$number" = "$unshare" ]; then
      [ "$status" -eq 0 ]
    else
      # One line, which names the layer; without close_range not even the program of the zygote is reached.
      [ "$(wc -l <<<"$stderr")" -eq 1 ]
      [[ "$stderr" == *": its process ended"*"killed by SIGSYS, by a filter from outside, a container's" ]]
      [ "$number" = "$close_range" ] || [[ "$stderr" =~ ^'ayre: call: '(seccomp|landlock)': ' ]]
    fi
  done
}

# named NUMBER LAYER: killed, but for who does without.
named() {
  container="$reachable/outer $1=kill --"
  run within "$AYRE" call "$reachable/module_functions.so" echo </dev/null
  [ "$status" -ne 0 ]
  [[ "$output" == *": its process ended"*"killed by SIGSYS, by a filter from outside, a container's" ]]
  calls --without "$2"
}

@test "filters that kill, and what is done without" {
  named "${landlock%% *}" landlock
  named "$seccomp" seccomp
  named "$clone:$namespaces" namespaces
}

zygotes_of() {
  pgrep -f "^ayre-zygote $reachable/$1.so"
}

several_of() {
  [ "$(zygotes_of "$1" | wc -l)" -ge 3 ]
}

# Number 1 in a process namespace, as the kernel shows it from outside.
is_apart() {
  local zygote
  for zygote in $(zygotes_of "$1"); do
    ! grep -q '^NSpid:.*[[:space:]]1$' "/proc/$zygote/status" || return 0
  done
  return 1
}

# ends MODULE: what its constructor makes, when the host is killed; and the posture does not promise too much.
ends() {
  within "$AYRE" call "$reachable/$1.so" x --timeout 60s </dev/null >/dev/null 2>&1 &
  until_true several_of "$1"
  if within "$AYRE" worker posture | grep -q '^namespaces  *holds'; then is_apart "$1"; fi
  pkill -KILL -f "^$reachable/ayre call $reachable/$1.so"
  wait "$!" || true
  none_of() { ! zygotes_of "$1"; }
  until_true none_of "$1"
}

@test "constructors that outlive a host that is killed: not for long" {
  for container in "env" "unshare -r" "bwrap --unshare-user --ro-bind / / --dev /dev --proc /proc" \
    "$reachable/outer $docker --" "$reachable/outer $unshare=1 --"; do
    ends module_detach
    ends module_flee
  done
}
