#!/bin/sh
# Does the test of hostile peers bite? The tree's sources are compiled as they are, and with one of three
# mistakes put in; each mistake has to be caught within a minute.
# usage: hostile_bites.sh SOURCE-ROOT BUILD-DIRECTORY C-COMPILER...
set -eu
. "$1/tests/rules/tap.sh"
root=$1
build=$2
shift 2
compiler="$*"
work=$(mktemp -d "$build/bites.XXXXXX")
trap 'rm -rf "$work"' EXIT

SECONDS_EACH=60
flags="-std=gnu11 -D_GNU_SOURCE -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined"

# compile OBJECT SOURCE [FLAG]...
compile() {
  object=$1
  source=$2
  shift 2
  $compiler $flags "$@" -I"$root/include" -iquote "$root/src" -I"$root/tests" -c "$source" -o "$object"
}

sources() {
  for file in "$root"/src/topic/*.c "$root"/src/base/*.c "$root"/src/memory/guard.c \
    "$root"/src/sys/*.c "$root"/tests/topic/hostile_*.c "$root"/tests/topic/topic_world.c \
    "$root"/tests/support/counts.c "$root"/tests/support/names.c \
    "$root"/tests/support/process.c; do
    # A program of its own.
    case $file in */hostile_files_test.c) ;; *) printf '%s\n' "$file" ;; esac
  done
}

object_of() {
  printf '%s/%s.o' "$work/objects" "$(printf '%s' "${1#"$root/"}" | tr / _)"
}

# Two at once: that many processors there are nearly everywhere.
compile_all() {
  mkdir "$work/objects"
  sources | while IFS= read -r file; do
    object=$(object_of "$file")
    printf '%s\n%s\n' "$object" "$file"
  done >"$work/list"
  export compiler flags root
  # shellcheck disable=SC2016
  xargs -n 2 -P 2 sh -c '$compiler $flags -I"$root/include" -iquote "$root/src" -I"$root/tests" \
    -c "$1" -o "$0"' <"$work/list"
}

link() {
  program=$1
  shift
  $compiler $flags "$@" -lcmocka -pthread -o "$program"
}

# holds_out PROGRAM SECONDS PATTERN: its output is in $work/output.
holds_out() {
  CMOCKA_MESSAGE_OUTPUT=TAP timeout "$SECONDS_EACH" "$1" "$2" "$3" >"$work/output" 2>&1
}

# A mistake: what it is, the file it is in, what it is put there by (sed), the file that is compiled anew,
# and the scenes that are to catch it.
mistake() {
  title=$1 patched=$2 script=$3 compiled=$4 pattern=$5
  copy="$work/$(printf '%s' "$title" | tr ' ' _)"
  mkdir -p "$copy/$(dirname "$patched")"
  sed "$script" "$root/src/$patched" >"$copy/$patched"
  if cmp -s "$root/src/$patched" "$copy/$patched"; then
    not_ok "$title is caught" <<REASON
src/$patched has changed: there is no place left where this mistake could be put in
REASON
    return
  fi
  source="$root/src/$compiled"
  [ "$patched" != "$compiled" ] || source="$copy/$patched"
  compile "$copy/broken.o" "$source" -iquote "$copy"
  kept=$(find "$work/objects" -name '*.o' ! -path "$(object_of "$root/src/$compiled")")
  link "$copy/hostile" $kept "$copy/broken.o"
  begun=$(date +%s)
  if holds_out "$copy/hostile" "$SECONDS_EACH" "$pattern"; then
    not_ok "$title is caught" <"$work/output"
    return
  fi
  took=$(($(date +%s) - begun))
  if grep -q '^not ok' "$work/output"; then
    printf '# caught after %s s: %s\n' "$took" \
      "$(grep -m 1 -E 'ERROR|not so:|does not|ended: ' "$work/output" | sed 's/^[#= ]*//')"
    ok "$title is caught"
  else
    not_ok "$title is caught" <"$work/output"
  fi
}

echo 'int main(void) { return 0; }' >"$work/empty.c"
if ! $compiler $flags "$work/empty.c" -o "$work/empty" 2>/dev/null || ! "$work/empty"; then
  skip 'mistakes are caught' 'this compiler has no sanitizers'
  finish
  exit 0
fi
if ! compile_all >"$work/output" 2>&1; then
  not_ok 'the sources are compiled' <"$work/output"
  finish
  exit 0
fi
link "$work/sound" "$work"/objects/*.o
if holds_out "$work/sound" 2 '*hostile*'; then
  ok 'as it is, it holds out'
else
  not_ok 'as it is, it holds out' <"$work/output"
fi
mistake 'a header that is fetched twice' topic/subscriber.c \
  's/ayrei_copy(buffer, message->data, message->bytes);/ayrei_copy(buffer, message->data, (uint32_t)ayrei_reader_header(\&source->reader));/' \
  topic/subscriber.c '*two faces'
mistake 'a bound that is missing' topic/record.h \
  's/record.bytes <= ayrei_record_bytes_max(ring_bytes)/true/' \
  topic/subscriber.c 'hostile publishers*'
mistake 'a length that is trusted' topic/member.c \
  's/ && member->searched < room_of(member)//' \
  topic/member.c 'a hostile subscriber*'
finish
