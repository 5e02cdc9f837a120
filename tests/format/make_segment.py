#!/usr/bin/python3
"""Makes a typed segment as ayre's processes expect it, from docs/FORMAT.md alone.

    make_segment.py file PATH TAG TEXT     unnamed file, then link
    make_segment.py locked PATH TAG TEXT   through .NAME.ayre-creating, then rename
    make_segment.py sysv KEY TAG TEXT      under the mark and the lock

Whoever builds it says "building" on standard output and waits for a line on standard input before
it finishes, so that a test can look at what others see meanwhile, or kill it.
"""

import ctypes
import fcntl
import os
import struct
import sys
import time

HEADER_BYTES = max(4096, os.sysconf("SC_PAGESIZE"))
UNFINISHED = 0o601
IPC_CREAT, IPC_EXCL, IPC_RMID, IPC_SET, IPC_STAT = 0o1000, 0o2000, 0, 1, 2
SEM_UNDO = 0x1000

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]


def check(result):
    if result in (-1, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def make_header(tag):
    head = struct.pack("<8sIIIIq16sI12x192s", b"AYRESEG\0", 1, HEADER_BYTES, 0, 0,
                       time.time_ns(), os.urandom(16), len(tag), tag)
    return head.ljust(HEADER_BYTES, b"\0")


def wait_for_go():
    print("building", flush=True)
    sys.stdin.readline()


def build(fd, segment):
    """The space is there before the name is; the bytes, too."""
    os.fchmod(fd, 0o644)
    os.posix_fallocate(fd, 0, len(segment))
    half = len(segment) // 2
    os.pwrite(fd, segment[:half], 0)
    wait_for_go()
    os.pwrite(fd, segment[half:], half)


def make_file(path, segment):
    fd = os.open(os.path.dirname(path) or ".", os.O_TMPFILE | os.O_RDWR, 0o600)
    build(fd, segment)
    # With a directory, os.link() is linkat(2), which can follow the link in /proc.
    with_directory = os.open("/proc/self/fd", os.O_RDONLY)
    os.link(str(fd), path, src_dir_fd=with_directory, follow_symlinks=True)


def lock_creating(path):
    directory, name = os.path.split(path)
    creating = os.path.join(directory, f".{name}.ayre-creating")
    while True:
        fd = os.open(creating, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(fd), os.lstat(creating)):
                return fd, creating
        except FileNotFoundError:
            pass
        os.close(fd)


def make_locked(path, segment):
    fd, creating = lock_creating(path)
    if os.path.lexists(path):
        os.unlink(creating)
        raise FileExistsError(path)
    os.ftruncate(fd, 0)
    build(fd, segment)
    os.link(creating, path)
    os.unlink(creating)


class Sembuf(ctypes.Structure):
    _fields_ = [("num", ctypes.c_ushort), ("op", ctypes.c_short), ("flags", ctypes.c_short)]


def lock_key(key):
    """As a C key_t, which has a sign."""
    mixed = key * 2654435761 % 2**32 ^ 0x65727961
    return ctypes.c_int(mixed or 0x65727961)


def lock_sysv(key):
    take = (Sembuf * 2)(Sembuf(0, 0, 0), Sembuf(0, 1, SEM_UNDO))
    lock = check(libc.semget(lock_key(key), 1, IPC_CREAT | 0o666))
    check(libc.semop(lock, take, 2))
    return lock


def set_mode(shmid, mode):
    """struct shmid_ds begins with struct ipc_perm: five words, then the mode."""
    status = ctypes.create_string_buffer(512)
    check(libc.shmctl(shmid, IPC_STAT, status))
    struct.pack_into("=H", status, 20, mode)
    check(libc.shmctl(shmid, IPC_SET, status))


def make_sysv(key_text, segment):
    key = int(key_text, 0)
    lock = lock_sysv(key)
    shmid = check(libc.shmget(ctypes.c_int(key), ctypes.c_size_t(len(segment)),
                              IPC_CREAT | IPC_EXCL | UNFINISHED))
    address = check(libc.shmat(shmid, None, 0))
    half = len(segment) // 2
    ctypes.memmove(address, segment, half)
    wait_for_go()
    ctypes.memmove(address, segment, len(segment))
    set_mode(shmid, 0o644)
    check(libc.semctl(lock, 0, IPC_RMID))


def main():
    makers = {"file": make_file, "locked": make_locked, "sysv": make_sysv}
    if len(sys.argv) != 5 or sys.argv[1] not in makers:
        print(__doc__, file=sys.stderr)
        return 2
    tag, text = sys.argv[3].encode(), sys.argv[4].encode() + b"\0"
    try:
        makers[sys.argv[1]](sys.argv[2], make_header(tag) + text)
    except OSError as problem:
        print(f"make_segment.py: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
