#!/bin/sh
# Who shares what: `ayre segment list` against `ipcs -m` and `lsof /dev/shm`, one after the other.
# usage: list_peers.sh AYRE [ROUNDS [PROCESSES [SEGMENTS]]]
#
# AYRE       the command, such as build/src/command/ayre
# ROUNDS     of each, interleaved (default 21); the first of each is left out
# PROCESSES  sleeping ones that are started beside those of the machine (default 300)
# SEGMENTS   POSIX segments of 4 KiB that are made for it, mapped by nobody (default 10)
#
# ayre tells System V segments and who maps them, POSIX segments, memfds and mapped files. ipcs
# tells the System V table, without users; lsof, who has what of /dev/shm open or mapped. So
# the two together tell less. Each time is from before fork to after exit, output to /dev/null.
set -eu

usage() {
  sed -n '2,14s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

if [ $# -lt 1 ] || [ $# -gt 4 ]; then
  usage
fi
ayre=$1 rounds=${2:-21} processes=${3:-300} segments=${4:-10}
for number in "$rounds" "$processes" "$segments"; do
  case $number in '' | *[!0-9]*) usage ;; esac
done
[ "$rounds" -ge 5 ] || usage
[ -x "$ayre" ] || {
  echo "list_peers.sh: $ayre is no command; build it first" >&2
  exit 1
}
command -v ipcs >/dev/null 2>&1 || {
  echo 'list_peers.sh: ipcs is not installed (util-linux)' >&2
  exit 1
}

work=$(mktemp -d)
sleepers=
cleanup() {
  # shellcheck disable=SC2086
  [ -z "$sleepers" ] || kill $sleepers 2>/dev/null || true
  rm -rf "$work"
  find /dev/shm -maxdepth 1 -name "ayre-list-peers.$$.*" -delete
}
trap cleanup EXIT
trap 'exit 130' INT TERM

i=0
while [ "$i" -lt "$processes" ]; do
  sleep 3600 &
  sleepers="$sleepers $!"
  i=$((i + 1))
done
i=0
while [ "$i" -lt "$segments" ]; do
  head -c 4096 /dev/zero >"/dev/shm/ayre-list-peers.$$.$i"
  i=$((i + 1))
done

run_ayre() {
  "$ayre" segment list >/dev/null 2>&1
}

# Their best settings: no names of hosts and ports. lsof's status says whether it found anything.
if command -v lsof >/dev/null 2>&1; then
  peers='ipcs -m; lsof -nP /dev/shm'
  run_peers() {
    ipcs -m >/dev/null 2>&1
    lsof -nP /dev/shm >/dev/null 2>&1 || true
  }
else
  peers='ipcs -m'
  run_peers() {
    ipcs -m >/dev/null 2>&1
  }
fi

# Microseconds, one a line.
measure() {
  begin=$(date +%s%N)
  "run_$1"
  end=$(date +%s%N)
  [ "$2" -eq 0 ] || echo $(((end - begin) / 1000)) >>"$work/$1"
}

round=0
while [ "$round" -le "$rounds" ]; do
  measure ayre "$round"
  measure peers "$round"
  round=$((round + 1))
done

# The value below which this many percent are.
percentile() {
  sort -n "$work/$1" | awk -v percent="$2" '
    { value[NR] = $1 }
    END { place = int(NR * percent / 100 + 0.5); print value[place < 1 ? 1 : place] / 1000 }'
}

row() {
  printf '%-30s %9.2f %9.2f %9.2f\n' "$2" "$(percentile "$1" 50)" "$(percentile "$1" 25)" \
    "$(percentile "$1" 75)"
}

running=$(find /proc -maxdepth 1 -name '[1-9]*' | wc -l)
printf '%s rounds, %s processes, %s POSIX segments; milliseconds\n\n' "$rounds" "$running" \
  "$(find /dev/shm -maxdepth 1 -type f | wc -l)"
printf '%-30s %9s %9s %9s\n' '' median '25 %' '75 %'
row ayre 'ayre segment list'
row peers "$peers"
[ "$peers" = 'ipcs -m' ] &&
  printf '\nlsof is not installed and was left out: ipcs alone names no process at all.\n'
awk -v ayre="$(percentile ayre 50)" -v peers="$(percentile peers 50)" \
  'BEGIN { printf "\nThe peers took %.1f times as long.\n", peers / ayre }'
