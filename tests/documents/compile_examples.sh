#!/bin/sh
# The programs in the manual and the README compile without a warning, and run: each literal block that begins
# with an #include line, alone and in an empty directory of its own. A page of section 3 has one.
# What includes ayre/module.h is no program but a module, FUNCTION.so, for the programs of its page.
# usage: compile_examples.sh PAGE...
# environment: CC (cc), AYRE_CFLAGS and AYRE_LIBS (what pkg-config would say)
# shellcheck disable=SC2317 # compile and run are called by name.
set -eu
. "$(dirname "$0")/../rules/tap.sh"
: "${CC:=cc}" "${AYRE_CFLAGS:=}" "${AYRE_LIBS:=}"

failed=0
# Topics by a path are on a disk.
work=$(mktemp -d /var/tmp/ayre-examples.XXXXXX)
# Topics live in memory; two runs at once have two places for them.
AYRE_DIR=$(mktemp -d /dev/shm/ayre-examples.XXXXXX)
export AYRE_DIR
trap 'rm -rf "$work" "$AYRE_DIR"' EXIT

# Writes the programs of a page to $work/program-1.c and so on, as man(1) would show them.
extract() {
  awk -v prefix="$work/program-" '
    /^\.Bd -literal/ || /^```c$/ { first = 1; next }
    /^\.Ed$/ || /^```$/ { first = writing = 0; next }
    first { first = 0; if ($0 ~ /^#include/) { writing = 1; file = prefix (++count) ".c" } }
    writing {
      gsub(/\\&/, ""); gsub(/\\\(aq/, "\047"); gsub(/\\\(dq/, "\""); gsub(/\\e/, "\\")
      print > file
    }
  ' "$1"
}

compile() {
  # shellcheck disable=SC2086
  $CC -Wall -Wextra -Werror -std=c11 $AYRE_CFLAGS -o "$work/program" "$1" $AYRE_LIBS
}

is_module() {
  grep -q '^#include <ayre/module.h>' "$1"
}

compile_module() {
  function=$(sed -n 's/^int \([a-z_]*\)(const struct ayre_request.*/\1/p' "$1")
  # The helper program that loads it has no sanitizer's runtime.
  # shellcheck disable=SC2086
  $CC -Wall -Wextra -Werror -std=c11 -shared -fPIC $AYRE_CFLAGS -fno-sanitize=all -o "$work/modules/$function.so" "$1"
}

run() {
  rm -rf "$work/directory"
  cp -r "$work/modules" "$work/directory"
  (cd "$work/directory" && "$work/program" </dev/null) || return
  # A program removes the topics that it made.
  [ -z "$(ls -A "$AYRE_DIR")" ] || {
    ls -A "$AYRE_DIR"
    return 1
  }
}

# try NAME COMMAND...: fails with what the command printed, and its status.
try() {
  name=$1
  shift
  status=0
  "$@" >"$work/log" 2>&1 || status=$?
  if [ $status = 0 ]; then
    ok "$name"
  else
    failed=1
    echo "exit status $status" >>"$work/log"
    not_ok "$name" <"$work/log"
  fi
  return $status
}

for page in "$@"; do
  title=$(basename "$page")
  rm -rf "$work"/program-*.c "$work/modules"
  mkdir "$work/modules"
  extract "$page"
  for program in "$work"/program-*.c; do
    if [ ! -e "$program" ]; then
      case $title in
        *.3)
          failed=1
          not_ok "$title has a program" </dev/null
          ;;
      esac
      continue
    fi
    number=${program#"$work"/program-}
    if is_module "$program"; then
      try "$title, module ${number%.c}, compiles" compile_module "$program" || true
    elif try "$title, program ${number%.c}, compiles" compile "$program"; then
      try "$title, program ${number%.c}, runs" run || true
    fi
  done
done
finish
exit $failed
