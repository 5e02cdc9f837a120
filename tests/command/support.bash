# Shared by the tests of the command: where things are, and names that are ours alone.
# AYRE is the path of the command.

setup() {
  cd "$BATS_TEST_TMPDIR" || return
  # Two copies of the tests can run at once.
  name="ayre-test-$$-$BATS_TEST_NUMBER"
  touch key
  sysv="sysv:$BATS_TEST_TMPDIR/key"
}

teardown() {
  rm -f "/dev/shm/$name" "/dev/shm/$name".*
  "$AYRE" segment remove "$sysv" >/dev/null 2>&1 || true
  [ -z "${place:-}" ] || rm -rf "$place"
  [ -z "${background:-}" ] || kill "$background" 2>/dev/null || true
}

ayre() {
  "$AYRE" "$@"
}

# fails CODE TEXT COMMAND...: one line on standard error with TEXT in it, nothing on standard output.
fails() {
  local code=$1 text=$2
  shift 2
  # Its own word on the status would not tell what was printed.
  run "-$code" --separate-stderr "$@" >/dev/null || true
  if [ "$status" -ne "$code" ] || [ -n "$output" ] || [[ "$stderr" != *"$text"* ]] ||
    [ "$(printf '%s\n' "$stderr" | wc -l)" -ne 1 ]; then
    printf 'status %s, not %s\nstdout: %s\nstderr: %s\nwanted: %s\n' \
      "$status" "$code" "$output" "$stderr" "$text"
    return 1
  fi
}

# until_true COMMAND...: waits for what another process does, ten seconds at the most.
until_true() {
  for _ in $(seq 200); do
    if "$@"; then return 0; fi
    sleep 0.05
  done
  printf 'in vain: %s\n' "$*"
  return 1
}

# is_idle PID: it used the tenth part of the last second at most. Its start may have taken more.
is_idle() {
  local before
  before=$(ticks_of "$1")
  sleep 1
  [ $(($(ticks_of "$1") - before)) -le $(($(getconf CLK_TCK) / 10)) ]
}

ticks_of() {
  awk '{ print $14 + $15 }' "/proc/$1/stat"
}

# A directory with the command in it, where every user can reach them: $place, which teardown removes.
make_place() {
  place=$(mktemp -d /tmp/ayre-test.XXXXXX)
  chmod 755 "$place"
  mkdir -m 755 "$place/bin"
  cp "$AYRE" "$(dirname "$AYRE")"/../libayre.so.0 "$place/bin"
}

# Runs the command that is in $place as a user who is nobody in particular.
as_user() {
  LD_LIBRARY_PATH=$place/bin setpriv --reuid=54321 --regid=54321 --clear-groups "$place/bin/ayre" "$@"
}

# for_each_user COMMAND...: with `ayre` behind it, as whoever runs the tests, and if that is root with `as_user`.
for_each_user() {
  "$@" ayre
  if [ "$(id -u)" -eq 0 ]; then
    make_place
    "$@" as_user
  fi
}

needs_root() {
  [ "$(id -u)" -eq 0 ] || skip "needs root"
}

# plot_shows FILE.svg FILE.json: the picture of `ayre bench --plot` has each figure of the document, where it belongs.
plot_shows() {
  /usr/bin/python3 "$BATS_TEST_DIRNAME/plot_shows.py" "$@"
}
