#!/bin/sh
# Runs a test with its modules, and the helper program, where every user can reach them: a build need not lie
# there.
# usage: MODULE_DIR=... AYRE_ZYGOTE=... reachable.sh PROGRAM [ARGUMENT...]
set -eu
place=$(mktemp -d /tmp/ayre-modules.XXXXXX)
trap 'rm -rf "$place"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$place"
cp "$MODULE_DIR"/module_*.so "$AYRE_ZYGOTE" "$place"
MODULE_DIR=$place AYRE_ZYGOTE=$place/$(basename "$AYRE_ZYGOTE") "$@"
