#!/bin/sh
# Every public header compiles alone, as C11 and as C++17, without a warning.
# usage: header_rules.sh SOURCE-ROOT CC CXX
set -eu
. "$(dirname "$0")/tap.sh"
root=$1 cc=$2 cxx=$3
warnings='-Wall -Wextra -Wpedantic -Wundef -Werror'

for header in ayre.h $(cd "$root/include" && echo ayre/*.h); do
  # shellcheck disable=SC2086
  found=$(printf '#include <%s>\nextern int not_an_empty_file;\n' "$header" |
    $cc -std=c11 $warnings -I "$root/include" -x c -fsyntax-only - 2>&1) || found="$found failed"
  verdict "$header alone in C11" "$found"
  # shellcheck disable=SC2086
  found=$(printf '#include <%s>\nextern int not_an_empty_file;\n' "$header" |
    $cxx -std=c++17 $warnings -I "$root/include" -x c++ -fsyntax-only - 2>&1) || found="$found failed"
  verdict "$header alone in C++17" "$found"
done
finish
