#!/bin/bash
# What survives a restart of the machine: restart.sh FILE_SYSTEM
#
# One program stores the same in a file on a disk, in POSIX shared memory and in System V shared
# memory. Then the machine restarts: its disk loses power, its /dev/shm is a new one, and so is
# its System V table. Prints what ayre said of each, and what is there afterwards.
# Runs in mount and IPC namespaces of its own (unshare --mount --ipc), whose /dev/shm it replaces.
# Environment: POWER_DIR.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=disk.sh
. "$(dirname "$0")/disk.sh"

seed=2 # raw, synced as a whole
key=0x61797265

# said LABEL STATUS: store.c's
said() {
  case $2 in
    0) echo "$1: on the disk" ;;
    4) echo "$1: in memory" ;;
    *) echo "$1: failed" ;;
  esac
}

# store LABEL NAME
store() {
  local status=0
  "$POWER_DIR/store" write new "$2" "$seed" wait >relied_on || status=$?
  said "$1" "$status"
}

# look LABEL PATH
look() {
  if "$POWER_DIR/store" check "$2" <relied_on >/dev/null; then
    echo "$1: there"
  else
    echo "$1: gone"
  fi
}

make_disk "$1"
start_machine
mount -t tmpfs ayre-memory /dev/shm
store file "file:$mounted/segment"
store shm shm:segment
store sysv "sysv:$key"
look file "$mounted/segment"
look shm /dev/shm/segment

sysv_table=/proc/sysvipc/shm
grep -q "^ *$((key)) " "$sysv_table" && echo "sysv: there"

cut_power
umount /dev/shm
mount -t tmpfs ayre-memory /dev/shm
start_machine
echo restarted
look file "$mounted/segment"
look shm /dev/shm/segment
unshare --ipc grep -q "^ *$((key)) " "$sysv_table" || echo "sysv: gone"
