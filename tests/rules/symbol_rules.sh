#!/bin/sh
# What the library exports is what the map file lists, what the headers declare, and what the
# manual documents.
# usage: symbol_rules.sh SOURCE-ROOT LIBAYRE.SO
set -eu
. "$(dirname "$0")/tap.sh"
root=$1 library=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# nm shows version nodes as absolute symbols; those are not functions.
nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$work/exported"
sed -n 's/^[[:space:]]*\(ayre_[a-z0-9_]*\);$/\1/p' "$root/src/libayre.map" | sort >"$work/mapped"
cat "$root"/include/ayre/*.h | sed 's:/\*.*\*/::; /^ \*/d; /^\/\*/d' |
  grep -oE '\bayre_[a-z0-9_]+\(' | tr -d '(' | sort -u >"$work/declared"

# compare NAME A B
compare() {
  verdict "$1" "$(diff "$2" "$3" | grep '^[<>]' || true)"
}

undocumented() {
  while IFS= read -r symbol; do
    grep -qE "^\.(Fo|Fn) $symbol\b" "$root"/man/*.3 || printf '%s is in no man page\n' "$symbol"
    grep -qE "^\.Nm $symbol( ,)?$" "$root"/man/*.3 || printf '%s is in no NAME section\n' "$symbol"
  done <"$work/mapped"
}

# man(1) finds a page by the names that are linked to it.
unlinked() {
  while IFS= read -r symbol; do
    [ -f "$root/man/$symbol.3" ] || grep -q "^    '$symbol',$\|'$symbol'[],]" "$root/man/meson.build" ||
      printf 'man %s finds nothing\n' "$symbol"
  done <"$work/mapped"
}

unversioned() {
  nm -D --defined-only "$library" | awk '$2 != "A" && $3 !~ /@@AYRE_/ { print $3 }'
}

compare 'exported symbols are those of the map file' "$work/exported" "$work/mapped"
compare 'declared functions are those of the map file' "$work/declared" "$work/mapped"
verdict 'every symbol has a version' "$(unversioned)"
verdict 'every symbol is in the manual' "$(undocumented)"
verdict 'every symbol is found by man(1)' "$(unlinked)"
finish
