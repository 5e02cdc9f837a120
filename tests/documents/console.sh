#!/bin/sh
# Runs what a document shows: README.md's ```console blocks, a man page's literal blocks.
# In both, a line "$ COMMAND" is followed by exactly what it prints. One document's commands run in
# one shell, in an empty directory, with the built ayre first on the PATH.
# usage: console.sh AYRE DOCUMENT...
set -eu
. "$(dirname "$0")/../rules/tap.sh"
ayre=$(realpath "$1")
shift

# Topics by a path are on a disk.
work=$(mktemp -d /var/tmp/ayre-console.XXXXXX)
# Topics live in memory; two runs at once have two places for them.
AYRE_DIR=$(mktemp -d /dev/shm/ayre-console.XXXXXX)
export AYRE_DIR
trap 'rm -rf "$work" "$AYRE_DIR"' EXIT
mkdir "$work/bin"
ln -s "$ayre" "$work/bin/ayre"
PATH=$work/bin:$PATH
export PATH

# Prints the lines of the blocks that begin with a command; a page's \(en etc. must not occur.
shown() {
  awk '
    /^```console$/ || /^\.Bd -literal/ { inside = 1; first = 1; next }
    /^```$/ || /^\.Ed$/ { inside = 0; next }
    inside && first { first = 0; showing = ($0 ~ /^\$ /) }
    inside && showing { print }
  ' "$1"
}

# A marker between commands tells whose output is whose.
as_script() {
  printf 'exec 2>&1\n'
  sed -n 's/^\$ //p' "$1" | while IFS= read -r command; do
    printf 'printf "%%s\\n" %s\n%s\n' "'$ $(printf '%s' "$command" | sed "s/'/'\\\\''/g")'" "$command"
  done
}

for document in "$@"; do
  name=$(basename "$document")
  shown "$document" >"$work/expected"
  if [ ! -s "$work/expected" ]; then
    continue
  fi
  as_script "$work/expected" >"$work/script"
  rm -rf "$work/directory"
  mkdir "$work/directory"
  (cd "$work/directory" && sh "$work/script" >"$work/actual" 2>&1 </dev/null) || true
  verdict "$name shows what happens ($(grep -c '^\$ ' "$work/expected") commands)" \
    "$(diff "$work/expected" "$work/actual" || true)"
  verdict "$name leaves no leftovers behind" "$(ls -A "$work/directory" | grep -v '^[a-z]' || ls -A "$AYRE_DIR")"
done
finish
