# Shared by the bats tests here, in tests/format and in tests/examples.bats.

# eventually COMMAND...: it has five seconds to come true
eventually() {
  local attempt
  for ((attempt = 0; attempt < 100; attempt++)); do
    ! "$@" || return 0
    sleep 0.05
  done
  echo "never came true: $*"
  return 1
}

# last_line_is FILE LINE
last_line_is() {
  [ "$(tail -n 1 "$1")" = "$2" ]
}

# ftok_key FILE LETTER: what ftok(3) makes of them, as ipcs(1) writes it
ftok_key() {
  local inode device
  read -r inode device <<<"$(stat -c '%i %d' "$1")"
  printf '0x%02x%02x%04x' "'$2" $((device & 0xff)) $((inode & 0xffff))
}

# table_line KEY: the kernel's line of a System V segment: permissions, bytes, attachments
table_line() {
  ipcs -m | awk -v key="$1" '$1 == key { print $4, $5, $6; found = 1 } END { exit !found }'
}

# stop PID...: programs that were started beside a test
stop() {
  local pid
  for pid in "$@"; do
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}
