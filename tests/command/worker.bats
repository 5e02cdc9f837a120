#!/usr/bin/env bats
# ayre worker: what confines a process here, and that it holds, as root and as an ordinary user.

bats_require_minimum_version 1.5.0
load support

setup() {
  cd "$BATS_TEST_TMPDIR" || return
  # Two copies of the tests can run at once, and each has users.
  export AYRE_DIR="/dev/shm/ayre-test-$$-$BATS_TEST_NUMBER"
  mkdir -m 1777 "$AYRE_DIR"
}

teardown() {
  [ -z "${background:-}" ] || kill "$background" 2>/dev/null || true
  [ -z "${place:-}" ] || rm -rf "$place"
  rm -rf "$AYRE_DIR"
}

leftovers() {
  ls -A "$AYRE_DIR"
}

posture_is_whole() {
  run --separate-stderr "$1" worker posture
  [ "$status" -eq 0 ]
  [ "$(wc -l <<<"$output")" -eq 9 ]
  [ "$(grep -c '^[a-z-]*  *holds' <<<"$output")" -ge 7 ]
  [ -z "$stderr" ]
  "$1" worker posture --json >posture.json
  [ "$(jq '.confined' posture.json)" = true ]
  [ "$(jq '.landlock_abi' posture.json)" -ge 1 ]
  [ "$(jq '[.layers[] | select(.mandatory)] | length' posture.json)" -eq 7 ]
  jq -e '.layers | all(.mandatory | not) or all(.holds or (.mandatory | not))' posture.json
  jq -e '.layers | all(.holds == (.error == null))' posture.json
}

@test "posture: every mandatory layer holds here" {
  for_each_user posture_is_whole
}

@test "posture: operands and options" {
  fails 2 "one word too many" ayre worker posture x
  fails 2 "--tier" ayre worker posture --tier full
}

# lacking NUMBER[=ANSWER] COMMAND...: where a system call gets an answer from outside, as in a container: an errno, or
# `kill`; ENOSYS if it is not said.
lacking() {
  /usr/bin/python3 - "$@" <<'PYTHON'
import ctypes, os, struct, sys
ERRNO, KILL, ALLOW = 0x00050000, 0x80000000, 0x7FFF0000
number, _, answer = sys.argv[1].partition('=')
action = KILL if answer == 'kill' else ERRNO | int(answer or 38)
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, int(number)), (0x06, 0, 0, action), (0x06, 0, 0, ALLOW)]
program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
head = struct.pack('HxxxxxxP', len(steps), ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, head, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execvp(sys.argv[2], sys.argv[2:])
PYTHON
}

# landlock_create_ruleset and seccomp, by their numbers.
ruleset=444
[ "$(uname -m)" = x86_64 ] && filter=317 || filter=277

@test "posture and selftest: what the kernel lacks is said, and refused" {
  run lacking "$ruleset" "$AYRE" worker posture
  [ "$status" -eq 1 ]
  grep -qx 'landlock       does not hold: Function not implemented' <<<"$output"
  run lacking "$ruleset" "$AYRE" worker posture --json
  [ "$status" -eq 1 ]
  [ "$(jq -c '[.confined, .landlock_abi]' <<<"$output")" = '[true,0]' ]
  run --separate-stderr lacking "$ruleset" "$AYRE" worker selftest --tier full --json
  [ "$status" -eq 1 ]
  [[ "$stderr" == "ayre: worker selftest: landlock: Function not implemented: "* ]]
  jq -e '.attempts == [] and (.tiers[0].refused | startswith("landlock: "))' <<<"$output"
  run lacking "$ruleset" "$AYRE" worker selftest --tier no-landlock
  [ "$status" -eq 0 ]
  run lacking "$filter" "$AYRE" worker posture
  [ "$status" -eq 1 ]
  grep -qx 'seccomp        does not hold: Function not implemented' <<<"$output"
  run lacking "$filter" "$AYRE" worker posture --json
  [ "$(jq .confined <<<"$output")" = false ]
}

# An error that many tiers have is told once, and a refusal for another reason proves nothing.
@test "selftest: what no tier can do without is told once" {
  run -1 --separate-stderr lacking "$ruleset=1" "$AYRE" worker selftest --attempt read-file
  [ "$(grep -c '^full .*refused: landlock: Operation not permitted' <<<"$output")" -eq 1 ]
  [ "$(grep -c '^no-namespaces .*refused: landlock: ' <<<"$output")" -eq 1 ]
  grep -q '^no-landlock  *confined: 1 attempts, 0 got out' <<<"$output"
  grep -q '^no-seccomp  *not confined: refused: seccomp: ' <<<"$output"
  [ "$(wc -l <<<"$stderr")" -eq 1 ]
  [[ "$stderr" == "ayre: worker selftest: landlock: Operation not permitted: "*"do without" ]]
  # No tier can be played, and the last one is not what its refusal says.
  run -1 --separate-stderr lacking "$filter=1" "$AYRE" worker selftest --json
  [ "$(jq -r '.tiers[4].refused' <<<"$output")" != null ]
  [[ "$stderr" == *"tier: Operation not permitted: "*"cannot be played here" ]]
  [ "$(wc -l <<<"$stderr")" -eq 2 ]
}

@test "posture and selftest: what kills from outside is named" {
  fails 1 'landlock: Broken pipe: the process that tries it was killed by signal 31' \
    lacking "$ruleset=kill" "$AYRE" worker posture
  run -1 --separate-stderr lacking "$ruleset=kill" "$AYRE" worker selftest --attempt read-file
  # The others do without Landlock, and do not try it.
  [ "$(grep -c 'not confined: refused: process: ' <<<"$output")" -eq 2 ]
  grep -q '^no-landlock  *confined: 1 attempts, 0 got out' <<<"$output"
  grep -q '^seccomp-only  *confined: 1 attempts, 0 got out' <<<"$output"
  [[ "$stderr" == "ayre: worker selftest: process: Broken pipe: its process ended of signal 31"* ]]
  [ "$(wc -l <<<"$stderr")" -eq 1 ]
}

# Nobody gets out, in no tier; and there are enough who try.
nobody_gets_out() {
  run --separate-stderr "$1" worker selftest --json
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
  printf '%s' "$output" >selftest.json
  [ "$(jq -c '[.tiers[] | [.name, .confined]]' selftest.json)" = \
    '[["full",true],["no-namespaces",true],["no-landlock",true],["seccomp-only",true],["no-seccomp",false]]' ]
  [ "$(jq '[.attempts[] | select(.got_out)] | length' selftest.json)" -eq 0 ]
  jq -e '.tiers | all(.got_out == 0)' selftest.json
  for tier in full no-namespaces no-landlock seccomp-only; do
    [ "$(jq --arg tier "$tier" '[.attempts[] | select(.tier == $tier)] | length' selftest.json)" -ge 120 ]
  done
  # Each name once in a tier; each attempt ended in some way.
  jq -e '.attempts | group_by(.tier)[] | (map(.name) | unique | length) == length' selftest.json
  jq -e '.attempts | all(.end | length > 0)' selftest.json
  # The layer that is missing in a tier did not hold, and the rest did.
  jq -e '.tiers[1].layers | index("namespaces") == null and index("landlock") != null' selftest.json
  jq -e '.tiers[2].layers | index("landlock") == null and index("seccomp") != null' selftest.json
  # Without seccomp nothing was run, and it is said why.
  jq -e '.tiers[4] | .attempts == 0 and (.refused | startswith("seccomp: "))' selftest.json
  [ -z "$(leftovers)" ]
}

@test "selftest: nobody gets out of a confined process, in any tier" {
  for_each_user nobody_gets_out
}

# What does not get out even so has its reason in the table.
everybody_gets_out() {
  run --separate-stderr "$1" worker selftest --tier unconfined --json
  [ "$status" -eq 1 ]
  printf '%s' "$output" >unconfined.json
  [ "$(jq -r '.attempts[] | select((.got_out | not) and .alone == null) | .name' unconfined.json)" = '' ]
  [ "$(jq '.tiers[0].got_out' unconfined.json)" -ge 120 ]
  [ -z "$(leftovers)" ]
}

@test "selftest --tier unconfined: every attempt bites, or says why it may not" {
  for_each_user everybody_gets_out
}

some_get_out() {
  run "$1" worker selftest --tier no-seccomp
  [ "$status" -eq 1 ]
  [[ "${lines[-1]}" == "no-seccomp     not confined: "* ]]
  # Files, foreign memory and descriptors stay out of reach.
  for name in read-file write-file read-passwd execute-program tcp-connect read-sibling receive-descriptor; do
    run "$1" worker selftest --tier no-seccomp --attempt "$name"
    [ "$status" -eq 0 ]
  done
}

@test "selftest --tier no-seccomp: not confined, and told so" {
  for_each_user some_get_out
}

@test "selftest: one attempt, and words that are none" {
  run ayre worker selftest --tier full --attempt read-file
  [ "$status" -eq 0 ]
  [ "${lines[0]}" = "full           files: read-file: Permission denied" ]
  [ "${lines[1]}" = "full           confined: 1 attempts, 0 got out, 0 killed" ]
  run ayre worker selftest --tier full --attempt tcp-connect
  [ "${lines[0]}" = "full           network: tcp-connect: killed by SIGSYS" ]
  fails 2 "'half' is not one of full|no-namespaces|" ayre worker selftest --tier half
  fails 2 "--attempt: 'dig' is not an attempt" ayre worker selftest --tier full --attempt dig
  fails 2 "--attempt: 'dig' is not an attempt" ayre worker selftest --attempt dig
  fails 2 "one word too many" ayre worker selftest x
}

# An attempt on what is not there would be held whatever the policy.
@test "selftest: without its bait no attempt counts as held" {
  few() { (ulimit -n 150 && exec "$AYRE" worker selftest --tier full --attempt leaked-high); }
  run -1 --separate-stderr few
  [ "${lines[0]}" = "full           descriptors: leaked-high: could not be made" ]
  [ "$stderr" = "ayre: worker selftest: full: 1 attempts could not be made" ]
}

@test "selftest: asked to end, it leaves nothing behind" {
  "$AYRE" worker selftest >/dev/null 2>&1 &
  background=$!
  until_true sh -c '[ -n "$(ls "$AYRE_DIR")" ]'
  sleep 0.2
  kill -TERM "$background"
  key=$(printf '0x%08x' $((0x61000000 + background * 100)))
  wait "$background" || true
  background=
  [ -z "$(leftovers)" ]
  ! ipcs | grep -q "$key"
}

@test "selftest: two at once" {
  "$AYRE" worker selftest --tier full >one 2>&1 &
  background=$!
  ayre worker selftest --tier full >two
  wait "$background"
  background=
  cmp one two
  [ -z "$(leftovers)" ]
}

@test "the same attempts under bubblewrap: some get out" {
  command -v bwrap >/dev/null || skip "bubblewrap is not installed"
  bwrap --unshare-all --ro-bind / / true 2>/dev/null || skip "bubblewrap does not work here"
  run "$ESCAPE_PEER" bwrap --unshare-all --ro-bind / / --dev /dev --proc /proc
  [ "$status" -eq 0 ]
  [[ "${lines[-1]}" =~ ^([0-9]+)\ of\ ([0-9]+)\ got\ out$ ]]
  [ "${BASH_REMATCH[1]}" -ge 20 ]
  [ "${BASH_REMATCH[1]}" -lt 160 ]
  # And without a sandbox nearly all.
  run "$ESCAPE_PEER" env
  [[ "${lines[-1]}" =~ ^([0-9]+)\ of\ ([0-9]+)\ got\ out$ ]]
  [ "${BASH_REMATCH[1]}" -ge 160 ]
  [ -z "$(leftovers)" ]
}
