#!/bin/sh
# A file through two processes: `ayre pub --frames | ayre sub --frames` against `cat | cat`, one after the other.
# usage: frames_peers.sh AYRE [ROUNDS [MEBIBYTES [BYTES...]]]
#
# AYRE       the command, best of a release build: build/src/command/ayre
# ROUNDS     of each, interleaved (default 7); the first is left out
# MEBIBYTES  of the file, which lies in memory, as does what comes out (default 4096: it takes twice that)
# BYTES      of a message (default: 65536 1024)
#
# In each round what came out is compared with the file, byte for byte. Both begin with a new file to write to, whose
# pages the kernel has to make: that is most of cat's time, and cannot be taken from either.
set -eu

usage() {
  sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

[ $# -ge 1 ] || usage
ayre=$1 rounds=${2:-7} mebibytes=${3:-4096}
shift $(($# < 3 ? $# : 3))
[ $# -gt 0 ] || set -- 65536 1024
for number in "$rounds" "$mebibytes" "$@"; do
  case $number in '' | 0* | *[!0-9]*) usage ;; esac
done
[ -x "$ayre" ] || {
  echo "frames_peers.sh: $ayre is no command; build it first" >&2
  exit 1
}

AYRE_DIR=$(mktemp -d /dev/shm/ayre-frames-XXXXXX)
export AYRE_DIR
trap 'rm -rf "$AYRE_DIR"' EXIT
trap 'exit 130' INT TERM
given=$AYRE_DIR/given
written=$AYRE_DIR/written

# A frame: four bytes that say how many follow. Random ones, many times over.
make_file() {
  bytes=$1
  frames=$((1048576 / bytes > 0 ? 1048576 / bytes : 1))
  i=0
  while [ "$i" -lt "$frames" ]; do
    # What is printed are the escapes.
    # shellcheck disable=SC2059
    printf "\\$(printf %o $((bytes & 255)))\\$(printf %o $((bytes >> 8 & 255)))"
    # shellcheck disable=SC2059
    printf "\\$(printf %o $((bytes >> 16 & 255)))\\$(printf %o $((bytes >> 24 & 255)))"
    head -c "$bytes" /dev/urandom
    i=$((i + 1))
  done >"$AYRE_DIR/piece"
  i=0
  while [ "$i" -lt "$mebibytes" ]; do
    cat "$AYRE_DIR/piece"
    i=$((i + 1))
  done >"$given"
}

by_cat() {
  # The pipe is what is measured.
  # shellcheck disable=SC2002
  cat "$given" | cat >"$written"
}

by_ayre() {
  "$ayre" sub frames --frames --until-closed >"$written" &
  "$ayre" pub frames --frames --wait-subscribers 1 <"$given"
  wait $!
}

# Microseconds; what came out has to be what went in.
measure() {
  rm -rf "$written" "$AYRE_DIR/frames"
  begin=$(date +%s%N)
  "$1"
  end=$(date +%s%N)
  cmp -s "$given" "$written" || {
    echo "frames_peers.sh: $1 wrote something else" >&2
    exit 1
  }
  echo $(((end - begin) / 1000))
}

# quartiles FILE: the median, and in brackets the quartiles
quartiles() {
  sort -n "$1" | awk -v unit="$2" '{ value[NR] = $1 }
    END {
      printf "%.3g%s [%.3g - %.3g]", value[int((NR + 1) / 2)], unit, value[int((NR + 3) / 4)],
        value[int((3 * NR + 3) / 4)]
    }'
}

echo "$rounds rounds, one after the other; $mebibytes MiB in memory; median [quartiles]"
for bytes in "$@"; do
  make_file "$bytes"
  : >"$AYRE_DIR/cat"
  : >"$AYRE_DIR/ayre"
  : >"$AYRE_DIR/ratio"
  round=0
  while [ "$round" -le "$rounds" ]; do
    cat_us=$(measure by_cat)
    ayre_us=$(measure by_ayre)
    if [ "$round" -gt 0 ]; then
      awk "BEGIN { print $cat_us / 1e6 }" >>"$AYRE_DIR/cat"
      awk "BEGIN { print $ayre_us / 1e6 }" >>"$AYRE_DIR/ayre"
      awk "BEGIN { print $cat_us / $ayre_us }" >>"$AYRE_DIR/ratio"
    fi
    round=$((round + 1))
  done
  printf '%s bytes a message: cat | cat %s | ayre %s | ayre is %s times as fast\n' "$bytes" \
    "$(quartiles "$AYRE_DIR/cat" ' s')" "$(quartiles "$AYRE_DIR/ayre" ' s')" \
    "$(quartiles "$AYRE_DIR/ratio" '')"
done
