# shellcheck shell=bash
# A machine's disk that can lose its power; for the scripts beside this one.
#
# They run in a mount namespace of their own (unshare --mount). The disk is a sparse file on a
# tmpfs of that namespace, behind a loop device that the kernel lets go with its mount. So
# nothing is left behind, however a script ends, and copies do not meet.
#
# The loop device keeps all that it is given, so this disk has no cache of its own that could be
# lost. That it is told to empty one all the same is counted by flushes().

disk=$PWD/tmpfs/disk
mounted=$PWD/mounted

# make_disk FILE_SYSTEM [TMPFS_SIZE]
make_disk() {
  file_system=$1
  mkdir -p tmpfs mounted
  mount -t tmpfs -o "size=${2:-512m}" ayre-power tmpfs
  case $file_system in
    # The smallest that mkfs.xfs makes.
    xfs) truncate -s 300M "$disk" && mkfs.xfs -q "$disk" ;;
    *) truncate -s 16M "$disk" && "mkfs.$file_system" -q "$disk" ;;
  esac
}

start_machine() {
  # The longest intervals, lest the kernel writes by itself what a control has to lose.
  case $file_system in
    ext4) mount -o loop,commit=300 "$disk" "$mounted" ;;
    *) mount -o loop "$disk" "$mounted" ;;
  esac
}

cut_power() {
  "$POWER_DIR/shutdown_fs" "$mounted"
  umount "$mounted"
}

# How often the disk was told to empty its cache: field 16 of Documentation/block/stat.rst.
flushes() {
  local device
  device=$(findmnt -no SOURCE "$mounted")
  awk '{ print $16 }' "/sys/class/block/${device#/dev/}/stat"
}
