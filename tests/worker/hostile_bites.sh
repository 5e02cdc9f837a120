#!/bin/sh
# Does the test of hosts under attack bite? The host's sources are compiled as they are, and each time with a
# mistake put in, which has to be caught within a minute.
# usage: MODULE_DIR=... AYRE_ZYGOTE=... hostile_bites.sh SOURCE-ROOT BUILD-DIRECTORY FILTER C-COMPILER...
set -eu
. "$1/tests/rules/tap.sh"
root=$1
build=$2
filter=$3
shift 3
compiler="$*"
work=$(mktemp -d "$build/worker-bites.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

SECONDS_EACH=60
flags="-std=gnu11 -D_GNU_SOURCE -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined"
flags="$flags -DAYREI_ZYGOTE_PATH=\"/\""

# compile OBJECT SOURCE [FLAG]...
compile() {
  object=$1
  source=$2
  shift 2
  $compiler $flags "$@" -I"$root/include" -iquote "$root/src" -I"$root/tests" -c "$source" -o "$object"
}

sources() {
  for file in "$root"/src/worker/confine*.c "$root"/src/worker/posture.c \
    "$root"/src/worker/worker*.c "$root"/src/base/*.c "$root"/src/sys/*.c "$filter" \
    "$root"/tests/worker/worker_rewrite_test.c "$root"/tests/worker/hostile_host.c \
    "$root"/tests/worker/module_world.c "$root"/tests/worker/worker_world.c \
    "$root"/tests/support/counts.c "$root"/tests/support/names.c \
    "$root"/tests/support/process.c; do
    printf '%s\n' "$file"
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

# holds_out PROGRAM SECONDS PATTERN: its output is in $work/output. Every user can reach the program.
holds_out() {
  CMOCKA_MESSAGE_OUTPUT=TAP timeout "$SECONDS_EACH" sh "$root/tests/worker/reachable.sh" \
    "$1" "$2" "$3" >"$work/output" 2>&1
}

# A mistake: what it is, the file of src/worker it is in, what it is put there by (sed), and the scenes that
# are to catch it.
mistake() {
  title=$1 patched=$2 script=$3 pattern=$4
  copy="$work/$(printf '%s' "$title" | tr ' ,' __)"
  mkdir -p "$copy"
  sed "$script" "$root/src/worker/$patched" >"$copy/$patched"
  if cmp -s "$root/src/worker/$patched" "$copy/$patched"; then
    not_ok "$title is caught" <<REASON
src/worker/$patched has changed: there is no place left where this mistake could be put in
REASON
    return
  fi
  if ! compile "$copy/broken.o" "$copy/$patched" >"$work/output" 2>&1; then
    not_ok "$title is compiled" <"$work/output"
    return
  fi
  kept=$(find "$work/objects" -name '*.o' ! -path "$(object_of "$root/src/worker/$patched")")
  link "$copy/hostile" $kept "$copy/broken.o"
  begun=$(date +%s)
  caught=0
  holds_out "$copy/hostile" "$SECONDS_EACH" "$pattern" || caught=$?
  if [ "$caught" -eq 0 ]; then
    not_ok "$title is caught" <"$work/output"
    return
  fi
  took=$(($(date +%s) - begun))
  # A host that never returns is caught by the clock.
  if [ "$caught" -eq 124 ]; then
    printf '# it did not return in %s s\n' "$took"
    ok "$title is caught"
  elif grep -q '^not ok' "$work/output"; then
    printf '# caught after %s s: %s\n' "$took" \
      "$(grep -m 1 -E 'SUMMARY|not so:|does not come|OVER_FIRST' "$work/output" | sed 's/^[#= ]*//')"
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
if holds_out "$work/sound" 1 '*'; then
  ok 'as it is, it holds out'
else
  not_ok 'as it is, it holds out' <"$work/output"
fi

mistake 'a length that is fetched twice' worker_answer.c \
  's/slot->answer.bytes = bytes;/slot->answer.bytes = __atomic_load_n(\&replies->bytes, __ATOMIC_RELAXED);/' \
  'a length*'
mistake 'a bound that is missing' worker_answer.c \
  's/bytes > slot->requests->capacity/false/' \
  'calls*'
mistake 'a wait that begins anew at each bell' worker_call.c \
  's/!ayrei_job_look_at(worker, slot, ayrei_monotonic_ns())/!(result == -ETIMEDOUT ? ayrei_job_look_at(worker, slot, INT64_MAX) : ayrei_job_look(worker, slot))/
   s/wait_for(worker, slot, slot->deadline_ns)/wait_for(worker, slot, ayrei_monotonic_ns() + slot->deadline_ns - slot->begin_ns)/
   s/^\t\tresult = 0;$//' \
  'bells*'
mistake 'a deadline that is overslept' worker_call.c \
  's/wait_for(worker, slot, slot->deadline_ns)/wait_for(worker, slot, slot->deadline_ns + 8000000)/' \
  '*sleeping'
mistake 'freezing that stops nobody' worker_freeze.c \
  's/ayrei_child_signal(slot->process, SIGSTOP)/0/
   s/return result < 0 ? result : ayrei_child_await_stop(slot->process, deadline_ns);/return result;/' \
  'replies that are frozen'
mistake 'replies that all places share' worker_slot.c \
  's/slot->replies = map;/if (slot != worker->slots) {\
	ayrei_unmap(map, worker->replies_bytes);\
	ayrei_file_close(slot->replies_file);\
	slot->replies_file = ayrei_file_duplicate(worker->slots[0].replies_file);\
	result = ayrei_map_shared(slot->replies_file, worker->replies_bytes, false, \&map);\
	}\
	slot->replies = map;/' \
  'calls under way, each*'
mistake 'replies that are not cleared' worker_process.c \
  's/if (slot->is_dirty)/if (false)/' \
  'calls, each*'
mistake 'files that are not sealed' worker_slot.c \
  's/result = ayrei_memory_file_seal(fd, writable, false);/result = 0;/' \
  'files*'
mistake 'a signal of any number' worker_end.c \
  's/return ret_crash->signal > 0 && ret_crash->signal <= SIGNAL_MAX;/return true;/' \
  'last words*'
finish
