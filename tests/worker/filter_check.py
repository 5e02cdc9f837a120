"""An independent reader of the filters: runs the programs that filter_make printed, for both
machines, as the kernel would, and compares every answer with a list of its own.

usage: filter_check.py FILTER_MAKE
"""
import errno
import random
import re
import struct
import subprocess
import sys

ALLOW, ERROR, TRAP, KILL = 0x7FFF0000, 0x00050000, 0x00030000, 0x80000000
I386, ARM32 = 0x40000003, 0x40000028
MACHINES = {
    'x86_64': (0xC000003E, '/usr/include/x86_64-linux-gnu/asm/unistd_64.h'),
    'aarch64': (0xC00000B7, '/usr/include/asm-generic/unistd.h'),
}
X32_BIT = 0x40000000

ALLOWED = set('''close fstat lseek read readv write writev brk mremap munmap exit exit_group getpid
    getrandom gettid gettimeofday nanosleep restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn
    sched_yield sigaltstack time'''.split())
ANSWERED = {errno.ENOSYS: '''clone3 close_range faccessat2 futex_waitv getrlimit membarrier openat2
                prlimit64 rseq sched_getaffinity set_robust_list statx sysinfo''',
            errno.EACCES: 'access faccessat getcwd lstat newfstatat open openat readlink readlinkat stat',
            errno.EAGAIN: 'clone fork vfork', errno.EINVAL: 'prctl', errno.EMFILE: 'dup'}
ANSWERED = {name: ERROR | code for code, names in ANSWERED.items() for name in names.split()}
# Those whose arguments matter.
JUDGED = ('mmap', 'mprotect', 'fcntl', 'futex', 'clock_getres', 'clock_gettime', 'clock_nanosleep',
          'ioctl', 'madvise', 'open', 'openat', 'clone', 'prctl', 'prlimit64', 'personality', 'seccomp')
EDGES = [*range(18), 0x40, 0x200, 0x240, 0x241, 0x1011, 0x1111, 0x80000, 25, 100, 102, 0x7F, 0x80, 0x81, 0x8A, 0x100, 0x101, 0x189, 0x180, 0x40000,
         0x5401, 0x5412, 0x5413, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFA, 0xFFFFFFFF, 0x100000000, 0x100000004,
         0xFFFFFFFF00000000, 0xFFFFFFFFFFFFFFFF]


def low(number):
    return number & 0xFFFFFFFF


def wanted(name, arguments, forbidden):
    """The list, a second time."""
    if name in ALLOWED:
        return ALLOW
    if name in ANSWERED:
        return ANSWERED[name]
    allowed = {
        'mmap': not arguments[2] & 4 and not arguments[3] & 0x40000,
        'mprotect': not arguments[2] & 4,
        'fcntl': low(arguments[1]) in (1, 2, 3),
        'futex': low(arguments[1]) & ~0x180 in (0, 1, 3, 4, 9, 10),
        'clock_getres': not arguments[0] & 0x80000000,
        'clock_gettime': not arguments[0] & 0x80000000,
        'clock_nanosleep': not arguments[0] & 0x80000000,
    }
    if name == 'fcntl' and low(arguments[1]) == 4:
        return ERROR | errno.EPERM
    if name in allowed:
        return ALLOW if allowed[name] else forbidden
    if name == 'ioctl':
        return ERROR | errno.ENOTTY if low(arguments[1]) in (0x5401, 0x5413) else forbidden
    if name == 'madvise':
        advice = arguments[2]
        if advice <= 4 or low(advice) in (8, 14, 15):
            return ALLOW
        if low(advice) in (9, 10, 11, 12, 13) or advice >= 16:
            return ERROR | errno.EINVAL
    return forbidden


def run(program, number, machine, arguments):
    data = struct.pack('<IIQ6Q', number, machine, 0, *arguments)
    at = accumulator = 0
    while True:
        code, true, false, k = program[at]
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from('<I', data, k)[0]
        elif code == 0x54:
            accumulator &= k
        elif code == 0x06:
            return k
        elif code == 0x05:
            at += k
        else:
            test = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k,
                    0x45: accumulator & k}[code]
            at += true if test else false


def programs(filter_make, machine):
    text = subprocess.run([filter_make, machine], check=True, capture_output=True, text=True).stdout
    for name, body in re.findall(r'sock_filter (\w+)\[\] = \{(.*?)\};', text, re.S):
        steps = re.findall(r'\{(\w+), (\w+), (\w+), (\w+)\}', body)
        yield name, [tuple(int(word, 0) for word in step) for step in steps]


def names_of(path):
    numbers = {}
    with open(path, encoding='ascii') as file:
        for name, number in re.findall(r'#define __NR(?:3264)?_(\w+)\s+(\d+)\s', file.read()):
            numbers.setdefault(name, int(number))
    # Two calls that 64-bit machines with the generic table have under their older names.
    numbers.setdefault('newfstatat', numbers.get('fstatat', -1))
    no_calls = ('syscalls', 'arch_specific_syscall')
    return {number: name for name, number in numbers.items() if name not in no_calls}


ZYGOTE_ALLOWED = set('''access faccessat getcwd getdents64 lstat newfstatat pread64 readlink readlinkat
    stat mprotect getegid geteuid getgid getuid uname getppid poll ppoll recvmsg sendmsg wait4 capget
    capset close_range landlock_create_ruleset landlock_restrict_self'''.split())
PR_SET_PDEATHSIG, SIGKILL = 1, 9


def wanted_of_zygote(name, arguments, forbidden):
    """Likewise, for a zygote: what it has besides stands before the rest."""
    if name in ZYGOTE_ALLOWED:
        return ALLOW
    if name in ('open', 'openat'):
        flags = arguments[1 if name == 'open' else 2]
        return ERROR | errno.EACCES if flags & 0o1103 else ALLOW
    if name == 'clone':
        return ALLOW if arguments[0] == 0x1011 else ERROR | errno.EAGAIN
    if name == 'prlimit64':
        return ERROR | errno.ENOSYS if arguments[0] else ALLOW
    if name == 'prctl':
        return ERROR | errno.EPERM if low(arguments[0]) == PR_SET_PDEATHSIG and arguments[1] != SIGKILL else ALLOW
    if name == 'unshare':
        return ERROR | errno.EPERM
    if name == 'mmap':
        return forbidden if arguments[3] & 0x40000 else ALLOW
    if name == 'personality':
        return ALLOW if low(arguments[0]) == 0xFFFFFFFF else forbidden
    if name == 'seccomp':
        operation = low(arguments[0])
        return ALLOW if operation == 2 or (operation == 1 and low(arguments[1]) == 0) else forbidden
    return wanted(name, arguments, forbidden)


def is_stricter(answer, other):
    """Does the kernel, of two programs, take this one's answer?"""
    def order(one):
        # As signed numbers, the lowest wins (kernel/seccomp.c).
        return struct.unpack('<i', struct.pack('<I', one & 0xFFFF0000))[0]
    return order(answer) < order(other)


def overruled(zygote, report, machine, names, chance):
    """A worker has both: calls at which its zygote's program is the stricter one."""
    for number in range(1024):
        for _ in range(60):
            arguments = [chance.choice(EDGES) for _ in range(6)]
            first = run(zygote, number, machine, arguments)
            second = run(report, number, machine, arguments)
            if is_stricter(first, second):
                name = names.get(number, str(number))
                yield f'{name} {[hex(a) for a in arguments]}: {first:#x} before {second:#x}'


def differences(program, machine, names, forbidden, chance, wanted=wanted):
    for number in list(range(1024)) + [X32_BIT, X32_BIT | 1, X32_BIT | 59, 0x7FFFFFFF, 0xFFFFFFFF]:
        name = names.get(number, str(number))
        for _ in range(400 if name in JUDGED else 12):
            arguments = [chance.choice(EDGES) if chance.random() < .8 else chance.getrandbits(64)
                         for _ in range(6)]
            expected = wanted(name, arguments, forbidden)
            if machine == MACHINES['x86_64'][0] and number >= X32_BIT and number != 0xFFFFFFFF:
                expected = KILL
            got = run(program, number, machine, arguments)
            if got != expected:
                yield f'{name} {[hex(a) for a in arguments]}: {got:#x}, not {expected:#x}'
        for other in (I386, ARM32, *(m for m, _ in MACHINES.values() if m != machine)):
            if run(program, number, other, [0] * 6) != KILL:
                yield f'{name} of machine {other:#x} does not end the process'


def main():
    chance = random.Random(5)
    count = 0
    for machine, (number, path) in MACHINES.items():
        try:
            names = names_of(path)
        except FileNotFoundError:
            count += 1
            print(f'ok {count} - {machine} # SKIP {path} is not there')
            continue
        all_of_machine = dict(programs(sys.argv[1], machine))
        for name, program in all_of_machine.items():
            forbidden = KILL if 'kill' in name else TRAP
            found = list(differences(program, number, names, forbidden, chance,
                                     wanted_of_zygote if 'zygote' in name else wanted))
            count += 1
            print(f'{"not " if found else ""}ok {count} - {machine}: {name}, {len(program)} steps')
            for line in found[:10]:
                print('#', line)
        found = list(overruled(all_of_machine['ayrei_filter_zygote'],
                               all_of_machine['ayrei_filter_report'], number, names, chance))
        count += 1
        print(f'{"not " if found else ""}ok {count} - {machine}: no worker is overruled by its zygote')
        for line in found[:10]:
            print('#', line)
    print(f'1..{count}')


main()
