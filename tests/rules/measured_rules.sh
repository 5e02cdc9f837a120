#!/bin/sh
# What README.md and docs/ say was measured is what the committed figures say.
# usage: measured_rules.sh SOURCE-ROOT
set -eu
. "$(dirname "$0")/tap.sh"
root=$1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! command -v jq >/dev/null; then
  echo '1..0 # SKIP jq is not installed'
  exit
fi
if "$root/bench/report" --check >"$work/log" 2>&1; then
  ok 'the tables are those of the figures'
else
  not_ok 'the tables are those of the figures: bench/report --write' <"$work/log"
fi
# A table that is changed by hand is seen.
mkdir -p "$work/tree/docs"
cp -R "$root/bench" "$root/README.md" "$work/tree"
cp -R "$root/docs/measured" "$root/docs/MEASURED.md" "$root/docs/CHOOSING.md" "$work/tree/docs"
sed -i 's/^| 48 bytes there and back, spinning.*/| 48 bytes there and back, spinning | a bare cache line | 0.5 | 1.1 |/' \
  "$work/tree/README.md"
if "$work/tree/bench/report" --check >/dev/null 2>&1; then
  echo 'README.md was changed, and nothing said so' | not_ok 'a figure that is made up is found'
else
  ok 'a figure that is made up is found'
fi
grep -ho '(\(docs/\)\?measured/[a-z]*\.svg)' "$root/README.md" "$root/docs/MEASURED.md" "$root/docs/CHOOSING.md" |
  sed 's/^(\(docs\/\)\?//; s/)$//' | sort -u | while read -r picture; do
  [ -s "$root/docs/$picture" ] || echo "$picture is not there"
done >"$work/log"
if [ -s "$work/log" ]; then not_ok 'the pictures are there' <"$work/log"; else ok 'the pictures are there'; fi
finish
