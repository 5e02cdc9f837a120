#!/bin/sh
# Fault injection stands before every call that can fail: each symbol that libayre takes from the
# C library is in one of two lists, those that tests/support/fault.c wraps, and those that cannot
# fail. A new call that is in neither is a call whose failure nobody has tried.
# usage: wrapped_symbols.sh LIBAYRE.A WRAPPED.TXT INFALLIBLE.TXT
set -eu
. "$(dirname "$0")/tap.sh"
archive=$1 wrapped=$2 infallible=$3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

words() {
  sed 's/#.*//; /^[[:space:]]*$/d' "$1" | sort
}

# What sanitizers and coverage add is not the library's own.
nm "$archive" | awk 'NF >= 2 && $(NF - 1) == "U" { print $NF }' |
  grep -vE '^(__(asan|lsan|tsan|ubsan|sanitizer|gcov|llvm)_|_GLOBAL_OFFSET_TABLE_$|__stack_chk_fail$|__tls_get_addr$)' |
  sort -u >"$work/undefined"
nm "$archive" | awk 'NF == 3 && $2 != "U" { print $3 }' | sort -u >"$work/defined"
comm -23 "$work/undefined" "$work/defined" >"$work/taken"
words "$wrapped" >"$work/wrapped"
words "$infallible" >"$work/infallible"
sort -u "$work/wrapped" "$work/infallible" >"$work/listed"

# Under sanitizers and optimisation the compiler takes others for the same purpose.
sometimes='__errno_location|__isoc(99|23)_(sscanf|strtol|strtoul|strtoull)|strto(l|ul|ull)|mem(chr|cmp|cpy|move|set)|str(chr|len|cpy|nlen)|sscanf'

verdict 'the archive takes something from the C library' \
  "$([ -s "$work/taken" ] || echo "$archive has no undefined symbols")"
verdict 'every symbol of the C library is wrapped or infallible' \
  "$(comm -23 "$work/taken" "$work/listed" | grep -vxE "$sometimes" || true)"
verdict 'no symbol is in both lists' "$(comm -12 "$work/wrapped" "$work/infallible")"
verdict 'no symbol is listed twice' "$(uniq -d "$work/wrapped"; uniq -d "$work/infallible")"
verdict 'no symbol is listed that nobody calls' \
  "$(comm -13 "$work/taken" "$work/listed" | grep -vxE "$sometimes" || true)"
finish
