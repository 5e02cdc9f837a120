#!/bin/sh
# The filter under the C libraries that are here: builds a probe with each, which installs the filter and goes on.
# usage: libraries.sh FILTER.c SOURCE-ROOT     FILTER.c is what filter_make made
set -eu
filter=$1 root=$2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 130' INT TERM
count=0

# number PROGRAM NAME: runs it; its lines, each with its number.
number() {
  "$1" "$2" >"$place/lines" 2>&1 </dev/null || printf 'not ok - %s: it did not end well\n' "$2" >>"$place/lines"
  while IFS= read -r line; do
    case $line in
    'ok - '* | 'not ok - '*)
      count=$((count + 1))
      printf '%s %d - %s\n' "${line%% - *}" "$count" "${line#* - }" ;;
    '#'*) printf '%s\n' "$line" ;;
    *) printf '# %s\n' "$line" ;;
    esac
  done <"$place/lines"
}

# probe NAME SOURCE COMPILER [FLAG]...: skipped if this compiler does not build a program, whatever it is.
probe() {
  name=$1 source=$2
  shift 2
  printf 'int main(void) { return 0; }\n' >"$place/nothing.c"
  if ! "$@" -o "$place/nothing" "$place/nothing.c" 2>/dev/null; then
    count=$((count + 1))
    printf 'ok %d - %s # SKIP there is no %s here\n' "$count" "$name" "$*"
    return
  fi
  "$@" -O1 -D_GNU_SOURCE -w -I "$root/src" -o "$place/probe" "$root/tests/worker/$source" -x c "$filter" -x none \
    -lm -lpthread 2>"$place/errors" || cat "$place/errors" >&2
  number "$place/probe" "$name"
}

# The kernel's, which musl-gcc has no path to.
headers="-idirafter /usr/include -idirafter /usr/include/$(${CC:-cc} -print-multiarch 2>/dev/null || :)"
probe 'C library' library_probe.c "${CC:-cc}"
probe 'C library, static' library_probe.c "${CC:-cc}" -static
# shellcheck disable=SC2086
probe 'musl' library_probe.c musl-gcc -static $headers
probe 'C++ library' library_probe.cc "${CXX:-c++}" -std=c++17
printf '1..%d\n' "$count"
