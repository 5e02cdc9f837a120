#!/bin/bash
# A disk that takes no more writes: lose_disk.sh FILE_SYSTEM handle|control|sync|write
#
# The file behind the loop device is sparse, and its own file system is filled to the brim, so the
# kernel's write-back fails for real, with no mock. Then: "handle": stay_failed.c, and a power cut
# after it; "sync", "write": the command, whose exit status and errors are passed on;
# "control": the same command on the same disk, not filled.
# Environment: POWER_DIR, AYRE.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=disk.sh
. "$(dirname "$0")/disk.sh"

filler=$PWD/tmpfs/filler
file=$mounted/segment

fill_up() {
  # Succeeds by failing.
  ! cat /dev/zero >"$filler" 2>/dev/null
}

make_disk "$1" 96m
start_machine
# A new segment's space is promised by the file system, and does not exist on the disk yet; but
# for its first pages, it may be, which lie where mkfs has wiped the disk. 8: a raw segment.
"$POWER_DIR/store" write new "file:$file" 8 none >/dev/null
last=$(($(stat -c %s "$file") - 64))
sync "$mounted"
case $2 in
  handle)
    fill_up
    "$POWER_DIR/stay_failed" "file:$file" "$filler" "file:$file.new"
    cut_power
    start_machine
    tr -d '\0' <"$file.new"
    ;;
  control) "$AYRE" segment sync "file:$file" ;;
  sync)
    fill_up
    "$AYRE" segment sync "file:$file"
    ;;
  write)
    fill_up
    "$AYRE" segment write "file:$file" text --offset "$last" --sync
    ;;
esac
