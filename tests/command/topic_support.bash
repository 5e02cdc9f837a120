# Shared by the tests of topics: a root that is ours alone, and processes in the background.
load support

setup() {
  cd "$BATS_TEST_TMPDIR" || return
  # Two copies of the tests can run at once.
  AYRE_DIR=/dev/shm/ayre-test-$$-$BATS_TEST_NUMBER
  export AYRE_DIR
  pids=()
}

teardown() {
  local pid running
  # Those that still run: the number of one that has ended may be another process's by now.
  running=" $(jobs -p -r | tr '\n' ' ') "
  for pid in "${pids[@]}"; do
    [[ "$running" != *" $pid "* ]] || kill -KILL "$pid"
  done
  rm -rf "$AYRE_DIR"
  [ -z "${place:-}" ] || rm -rf "$place"
}

# start FILE COMMAND...: its standard output goes to FILE, its standard error to FILE.err; $pid is its number.
start() {
  local file=$1
  shift
  # Not what the shell gives to those behind an "&".
  "$@" <&0 >"$file" 2>"$file.err" 3>&- &
  pid=$!
  pids+=("$pid")
}

# ends_with CODE PID
ends_with() {
  local code=0
  wait "$2" || code=$?
  [ "$code" -eq "$1" ] || {
    printf 'exit status %s, not %s\n' "$code" "$1"
    return 1
  }
}

# peers KIND COUNT TOPIC: so many pub or sub files are there.
peers() {
  [ "$(find "$AYRE_DIR/$3" -name "$1.????????????????" 2>/dev/null | wc -l)" -eq "$2" ]
}

# subscribed COUNT TOPIC: they have been asked for what they read, and sleep or read.
subscribed() {
  [ "$(ayre topic show "$2" --json 2>/dev/null | jq '[.subscribers[] | select(.alive)] | length')" = "$1" ]
}

# asleep COUNT TOPIC
asleep() {
  [ "$(ayre topic show "$2" --json 2>/dev/null | jq '[.subscribers[] | select(.asleep)] | length')" = "$1" ]
}

# nothing_but_content TOPIC: neither cursors nor bells.
nothing_but_content() {
  [ -z "$(find "$AYRE_DIR/$1" \( -name 'sub.*' -o -name '*.bell' \))" ]
}

needs_mounts() {
  needs_root
  unshare -m true 2>/dev/null || skip "needs mount namespaces"
}
