# Sourced by the rules: each is a test of the tree, in TAP. ok, not_ok, skip, verdict, finish.
tap_number=0

ok() {
  tap_number=$((tap_number + 1))
  printf 'ok %d - %s\n' "$tap_number" "$1"
}

# not_ok NAME, what is wrong on standard input; not behind a pipe, where the count would be lost.
not_ok() {
  tap_number=$((tap_number + 1))
  printf 'not ok %d - %s\n' "$tap_number" "$1"
  sed 's/^/# /'
}

skip() {
  tap_number=$((tap_number + 1))
  printf 'ok %d - %s # SKIP %s\n' "$tap_number" "$1" "$2"
}

# verdict NAME FINDINGS: passes if nothing was found.
verdict() {
  if [ -z "$2" ]; then
    ok "$1"
  else
    not_ok "$1" <<FINDINGS
$2
FINDINGS
  fi
}

finish() {
  printf '1..%d\n' "$tap_number"
}
