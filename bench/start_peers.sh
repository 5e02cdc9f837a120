#!/bin/sh
# What starting a pipeline of programs that do nothing costs, beside libpipeline, posix_spawn and fork:
# from a small host, and from one with gigabytes resident.
# usage: start_peers.sh BUILD-DIRECTORY [RESIDENT-MEGABYTES]
set -eu
cd "$(dirname "$0")"
build=${1:?usage: start_peers.sh BUILD-DIRECTORY [RESIDENT-MEGABYTES]}
resident=${2:-4096}

if ! pkg-config --exists libpipeline; then
  echo 'left out: libpipeline is not installed (libpipeline-dev)' >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Word splitting is meant: a list of flags.
# shellcheck disable=SC2046
cc -O2 -D_GNU_SOURCE -I../include start_peers.c -o "$work/start_peers" \
  "$build/src/libayre.a" $(pkg-config --cflags --libs libpipeline) -pthread
"$work/start_peers" 4 400
"$work/start_peers" 8 200
"$work/start_peers" 4 40 "$resident"
