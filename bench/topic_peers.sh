#!/bin/sh
# Messages between processes: ayre beside iceoryx, ZeroMQ, nng and Boost.Interprocess, as Debian has them.
# usage: topic_peers.sh [--json] BUILD-DIRECTORY [ROUNDS [CASE...]]
#
# --json           an object a line: case, peer, and left_out, or ayre_ns, peer_ns, ours_to_this and ayre_to_floor
# BUILD-DIRECTORY  where src/libayre.a is; best of a release build
# ROUNDS           of each row (default 9), after one that finds how many messages take long enough
# CASE             as it is named in the first column: round/48 (default: all of them)
#
# In each round of a row the raw floor, ayre and the peer run one after the other, so that both ratios are
# of neighbours in time. All processes are bound to the same two processors, every message is checked, and
# a lost one ends the run. What is not installed is named as left out; pipes, sockets and POSIX queues are in
# `ayre bench topic`.
set -eu
cd "$(dirname "$0")"

usage() {
  sed -n '2,15s/^# \{0,1\}//p' topic_peers.sh >&2
  exit 2
}

json=
if [ "${1:-}" = --json ]; then
  json=yes
  shift
fi
[ $# -ge 1 ] || usage
case $1 in /*) build=$1 ;; *) build=$OLDPWD/$1 ;; esac
rounds=${2:-9}
case $rounds in '' | *[!0-9]*) usage ;; esac
[ -f "$build/src/libayre.a" ] || {
  echo "topic_peers.sh: $build/src/libayre.a is missing; build it first" >&2
  exit 1
}
shift
[ $# -eq 0 ] || shift
wanted=" $* "

export PEER_RUN=$$
work=$(mktemp -d)
roudi=
cleanup() {
  [ -z "$roudi" ] || kill "$roudi" 2>/dev/null || true
  [ -z "$roudi" ] || wait "$roudi" 2>/dev/null || true
  rm -rf "$work" /tmp/.ayre-peers-*-"$$"-* /dev/shm/.ayre-peers-"$$"-* \
    /dev/shm/ayre-peers-boost-"$$"-*
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# --- what is there ---

flags='-O2 -D_GNU_SOURCE'
peers=
# NAME WHY [CASE]
left_out() {
  if [ "$json" ]; then
    jq -nc --arg peer "$1" --arg why "$2" --arg case "${3:-}" '{case: (if $case == "" then null else $case end),
      peer: $peer, left_out: $why}'
  elif [ $# -gt 2 ]; then
    printf '%-16s %-9s left out: %s\n' "$3" "$1" "$2"
  else
    printf 'left out: %s: %s\n' "$1" "$2"
  fi
}

# Word splitting is meant: lists of flags.
# shellcheck disable=SC2086
build_c() {
  name=$1
  shift
  cc $flags "peers/$name.c" -o "$work/$name" "$@" 2>"$work/log"
}

# shellcheck disable=SC2086
build_cxx() {
  name=$1
  shift
  c++ $flags -std=c++17 "peers/$name.cpp" -o "$work/$name" "$@" 2>"$work/log"
}

# NAME BUILDER PACKAGE HEADER FLAGS...: what is not there is told by the Debian package that has it
try_peer() {
  name=$1 builder=$2 package=$3 header=$4
  shift 4
  # Word splitting is meant: a list of flags, of which a preprocessor takes some.
  # shellcheck disable=SC2086
  if ! printf '#include <%s>\n' "$header" | c++ $flags -std=c++17 -E -x c++ "$@" - >/dev/null 2>&1; then
    left_out "$name" "$package is not installed: apt-get install $package"
  elif "$builder" "$name" "$@"; then
    peers="$peers $name"
  else
    left_out "$name" "it does not build with $package: $(grep -m 1 error "$work/log" || tail -n 1 "$work/log")"
  fi
}

build_c raw || { cat "$work/log" >&2; exit 1; }
build_c ayre -I../include "$build/src/libayre.a" -pthread || { cat "$work/log" >&2; exit 1; }

# The headers of iceoryx lie in a directory with its version.
iceoryx=
for directory in /usr/include/iceoryx/*; do
  [ ! -d "$directory/iceoryx_posh" ] || iceoryx=$directory
done
if ! command -v iox-roudi >/dev/null 2>&1; then
  left_out iceoryx 'iceoryx, which has iox-roudi, is not installed: apt-get install iceoryx libiceoryx-posh-dev'
elif [ -z "$iceoryx" ]; then
  left_out iceoryx 'libiceoryx-posh-dev is not installed: apt-get install libiceoryx-posh-dev'
elif pgrep -x iox-roudi >/dev/null; then
  left_out iceoryx 'another RouDi is running, with pools of its own'
else
  try_peer iceoryx build_cxx libiceoryx-posh-dev iceoryx_posh/runtime/posh_runtime.hpp \
    "-I$iceoryx" -liceoryx_posh -liceoryx_hoofs -liceoryx_platform -pthread
fi
try_peer zmq build_c libzmq3-dev zmq.h -lzmq
try_peer nng build_c libnng-dev nng/nng.h -lnng
try_peer boost build_cxx libboost-dev boost/interprocess/ipc/message_queue.hpp -pthread

# --- where ---

cpus=$(awk '/^Cpus_allowed_list/ { print $2 }' /proc/self/status | tr ',' '\n' |
  awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
far=$(printf '%s\n' "$cpus" | head -n 1)
near=$(printf '%s\n' "$cpus" | tail -n 1)
if [ "$near" = "$far" ]; then
  echo 'topic_peers.sh: it needs two processors' >&2
  exit 1
fi

case $peers in *iceoryx*)
  iox-roudi -c peers/pools.toml -m off -l off >/dev/null 2>&1 &
  roudi=$!
  sleep 1
  ;;
esac

# --- runs ---

# PROGRAM MODE BYTES COUNT FAR READERS: prints nanoseconds, or nothing.
run() {
  program=$1
  shift
  "$work/$program" "$1" "$2" "$3" "$near" "$4" "$5" 2>>"$work/errors" | tail -n 1
}

# How many take about thirty milliseconds.
find_count() {
  run "$1" "$2" "$3" 200 "$4" "$5" | awk '
    /left out/ { print; exit }
    /^[0-9.]+$/ { count = int(3e7 / $1); print (count < 50 ? 50 : count > 4000000 ? 4000000 : count) }'
}

# Of the words on standard input: median, quartiles.
spread() {
  sort -n | awk '
    { value[NR] = $1 }
    function at(part,   place, below) {
      place = 1 + part * (NR - 1)
      below = int(place)
      return below >= NR ? value[NR] : value[below] + (place - below) * (value[below + 1] - value[below])
    }
    END { if (NR) print at(0.5), at(0.25), at(0.75) }'
}

# nanoseconds for one -> what people read; quartiles of a rate change places.
show() {
  awk -v unit="$1" -v bytes="$2" '
    function rate(ns) { return unit == "time" ? ns / 1000 : unit == "bandwidth" ? bytes / ns : 1000 / ns }
    { printf "%9.3f [%.3f - %.3f]", rate($1), rate(unit == "time" ? $2 : $3), rate(unit == "time" ? $3 : $2) }'
}

ratio() {
  awk '{ printf "%.3f [%.3f - %.3f]", $1, $2, $3 }'
}

# "1.5 1.4 1.6", or nothing -> an object, or null
spread_json() {
  spread | awk '{ printf "{\"median\": %.4g, \"q1\": %.4g, \"q3\": %.4g}", $1, $2, $3 } END { if (!NR) printf "null" }'
}

print_json() {
  jq -nc --arg case "$1" --arg peer "$2" --arg rounds "$rounds" \
    --argjson ayre "$(awk '{ print $2 }' "$work/rows" | spread_json)" \
    --argjson theirs "$(awk '{ print $3 }' "$work/rows" | spread_json)" \
    --argjson ratio "$(awk '{ print $2 / $3 }' "$work/rows" | spread_json)" \
    --argjson floor "$(awk '$1 != "-" { print $2 / $1 }' "$work/rows" | spread_json)" \
    '{case: $case, peer: $peer, rounds: ($rounds | tonumber), ayre_ns: $ayre, peer_ns: $theirs, ours_to_this: $ratio,
      ayre_to_floor: $floor}'
}

# Raw, ayre, peer; raw, ayre, peer; ...
measure_row() {
  case=$1 peer=$2 mode=$3 bytes=$4 cpu=$5 readers=$6 unit=$7
  count=$(find_count "$peer" "$mode" "$bytes" "$cpu" "$readers")
  case $count in
  'left out'*)
    left_out "$peer" "${count#left out: }" "$case"
    return
    ;;
  '')
    left_out "$peer" "it failed: $(tail -n 1 "$work/errors")" "$case"
    return
    ;;
  esac
  raw_count=$(find_count raw "$mode" "$bytes" "$cpu" "$readers")
  ayre_count=$(find_count ayre "$mode" "$bytes" "$cpu" "$readers")
  : >"$work/rows"
  round=0
  while [ "$round" -lt "$rounds" ]; do
    raw=-
    case $raw_count in 'left out'*) ;; *) raw=$(run raw "$mode" "$bytes" "$raw_count" "$cpu" "$readers") ;; esac
    ours=$(run ayre "$mode" "$bytes" "$ayre_count" "$cpu" "$readers")
    theirs=$(run "$peer" "$mode" "$bytes" "$count" "$cpu" "$readers")
    echo "${raw:--} ${ours:--} ${theirs:--}" >>"$work/rows"
    round=$((round + 1))
  done
  if grep -q -- '- *$\|[0-9-] - ' "$work/rows"; then
    left_out "$peer" "a run failed: $(tail -n 1 "$work/errors")" "$case"
    return
  fi
  if [ "$json" ]; then
    print_json "$case" "$peer"
    return
  fi
  printf '%-16s %-9s %s | ayre %s' "$case" "$peer" \
    "$(awk '{ print $3 }' "$work/rows" | spread | show "$unit" "$bytes")" \
    "$(awk '{ print $2 }' "$work/rows" | spread | show "$unit" "$bytes")"
  printf ' | ayre/peer %s' "$(awk '{ print $2 / $3 }' "$work/rows" | spread | ratio)"
  case $raw_count in
  'left out'*) echo ;;
  *)
    printf ' | ayre/raw %s' "$(awk '{ print $2 / $1 }' "$work/rows" | spread | ratio)"
    printf ' | peer/raw %s\n' "$(awk '{ print $3 / $1 }' "$work/rows" | spread | ratio)"
    ;;
  esac
}

measure_case() {
  case $wanted in '  ' | *" $1 "*) ;; *) return 0 ;; esac
  for peer in $peers; do
    measure_row "$1" "$peer" "$2" "$3" "$4" "$5" "$6"
  done
}

[ "$json" ] || printf '%s rounds of raw, ayre, peer; processors %s and %s; median [quartiles]; ayre/peer below 1: ayre is faster\n' \
  "$rounds" "$near" "$far"
[ "$json" ] || printf 'round, asleep, open: microseconds; stream/48 and fan: millions a second; other streams: GB/s\n\n'
measure_case round/48 round 48 "$far" 1 time
measure_case round/256 round 256 "$far" 1 time
measure_case asleep/same asleep 48 "$near" 1 time
measure_case asleep/across asleep 48 "$far" 1 time
measure_case stream/48 stream 48 "$far" 1 rate
measure_case stream/1k stream 1024 "$far" 1 bandwidth
measure_case stream/64k stream 65536 "$far" 1 bandwidth
measure_case stream/1m stream 1048576 "$far" 1 bandwidth
measure_case fan/1 fan 1024 "$far" 1 rate
measure_case fan/4 fan 1024 "$far" 4 rate
measure_case fan/16 fan 1024 "$far" 16 rate
measure_case open open 48 "$far" 1 time
