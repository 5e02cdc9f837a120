#!/bin/bash
# Cuts the power of a file system behind a program, again and again, and counts what was lost.
#
#   lose_power.sh FILE_SYSTEM LIFE SYNC ROUNDS
#
# FILE_SYSTEM: ext4, xfs. LIFE and SYNC: what store.c does before the cut; or LIFE "renamed", an
# existing segment that has just been given another name; or what the command does:
# "command-write" with SYNC "sync" or "none", "command-sync" with "sync", "invalidate", "async" or
# "none". In a round, a program stores and reports what it may rely on, and ends; the file system is
# shut down as by a power cut; it is mounted anew, and what is there is compared.
# Prints a line for each round, with the seed that makes it again, and the sums at the end.
# Environment: POWER_DIR, AYRE, AYRE_TEST_SEED (else random).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=disk.sh
. "$(dirname "$0")/disk.sh"

life=$2 sync=$3 rounds=$4
# Its low bits are the kind of case, which the rounds go through in turn.
seed=${AYRE_TEST_SEED:-$((SRANDOM & ~3))}
file=$mounted/segment
store=$POWER_DIR/store

write_by_command() {
  local offset=$((seed % 9000)) length=$((1 + seed % 4000)) option=()
  [ "$sync" = none ] || option=(--"$sync")
  "$store" bytes "$seed" "$length" |
    "$AYRE" segment write "file:$file" --offset "$offset" "${option[@]}"
  echo "$offset $length $seed"
}

sync_by_command() {
  local option=()
  [ "$sync" = sync ] || option=(--"$sync")
  "$store" write existing "file:$file" "$seed" none
  [ "$sync" = none ] || "$AYRE" segment sync "file:$file" "${option[@]}" >&2
}

# What the disk already holds, and under which name.
prepare() {
  case $life in
    new | created) ;;
    command-write) "$store" make "file:$file" "$((seed & ~1))" ;; # raw: offsets are the file's
    renamed) "$store" make "file:$file.old" "$seed" && mv "$file.old" "$file" ;;
    *) "$store" make "file:$file" "$seed" ;;
  esac
}

live() {
  case $life in
    command-write) write_by_command ;;
    command-sync) sync_by_command ;;
    renamed) "$store" write existing "file:$file" "$seed" "$sync" ;;
    *) "$store" write "$life" "file:$file" "$seed" "$sync" ;;
  esac
}

# Another program's sync takes all names on ext4 to the disk: has ours its bytes by then?
commit_names() {
  echo other >"$mounted/other"
  sync "$mounted/other" "$mounted"
}

# What is there of what was relied on: "kept K lost L".
compare() {
  if [ "$life" = created ] && [ ! -e "$file" ]; then
    echo "kept 0 lost 0 (never created)"
  else
    "$store" check "$file" <relied_on || [ $? -eq 3 ]
  fi
}

make_disk "$1"
start_machine
kept=0 lost=0 lossy_rounds=0 flushed_rounds=0
for ((round = 1; round <= rounds; round++, seed++)); do
  prepare
  before=$(flushes)
  live >relied_on
  flushed_rounds=$((flushed_rounds + ($(flushes) > before)))
  [ "$life" != created ] || commit_names
  cut_power

  start_machine
  outcome=$(compare)
  echo "$file_system $life $sync, seed $seed: $outcome"
  read -r _ round_kept _ round_lost _ <<<"$outcome"
  kept=$((kept + round_kept)) lost=$((lost + round_lost))
  lossy_rounds=$((lossy_rounds + (round_lost > 0)))
  rm -f "$mounted"/*segment* && sync -f "$mounted"
done
echo "$rounds rounds, with losses $lossy_rounds, with flushes $flushed_rounds;" \
  "kept $kept, lost $lost"
