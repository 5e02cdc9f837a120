/*
 * Between clone and exec: code that runs in a process of its own but in the host's memory.
 *
 * Invariant: what is marked AYREI_BARE calls nothing but the kernel and itself. The C library's
 * errno, locks and thread list belong to the host's threads, which go on meanwhile.
 *
 * The race that would break it: a child that shares the memory is told apart from the host by
 * nothing but its stack. So the stacks stay until the word `place` of each child is 0, which the
 * kernel sees to (CLONE_CHILD_CLEARTID) when the child leaves the memory, by exec or by exit,
 * whatever happened to it. That word also says that a child is ready, so that who waits for the
 * one also learns of the other: a child that is killed on its way keeps nobody waiting.
 *
 *	host      clone A  clone B  waits for each: ready or gone   opens the gate   until all are gone
 *	child A      prepares, is ready, sleeps at the gate ........................ executes
 *	child B               prepares, is ready, sleeps at the gate ............... executes
 *
 * A host that dies meanwhile takes those at the gate with it (PR_SET_PDEATHSIG). A single child
 * finds the gate open.
 */
#include "sys/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sys/child.h"
#include "sys/file.h"
#include "sys/raw.h"
#include "sys/result.h"

/* Frames here are small, and no signal is handled on these stacks. */
#define STACK_BYTES 16384

/* The kernel's signal sets have 64 bits, the C library's are longer. */
#define KERNEL_SIGNALS   64
#define KERNEL_SET_BYTES 8

/* nptl(7): the C library needs them where threads are, and nobody else can send them. */
#define LIBRARY_FIRST 32
#define LIBRARY_LAST  33

/* A file that somebody is just writing cannot be executed: 1 + 2 + 4 + ... ms of patience. */
#define BUSY_TRIES 6

#define FIRST_FREE 3

enum gate_state {
	GATE_CLOSED,
	GATE_OPEN,
	GATE_FAILED,
};

/* On its way. */
enum place {
	PLACE_GONE, /* 0: the kernel writes it */
	PLACE_READY,
	PLACE_INSIDE,
};

/* What a child finds on its way: all of it in the host's memory. */
struct passage {
	struct ayrei_child *child;
	atomic_int *gate;    /* enum gate_state, one for all children of a start; a futex */
	atomic_int place;    /* enum place; a futex */
	bool handlers_stand; /* the kernel was not asked to reset them */
};

/* As the kernel has it (linux/signal.h has another of the same name). */
struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask;
};

const char *ayrei_child_step_name(enum ayrei_child_step step)
{
	static const char *const names[] = {
		[AYREI_STEP_NONE] = "start",          [AYREI_STEP_CLONE] = "clone",
		[AYREI_STEP_PARENT] = "parent",       [AYREI_STEP_SESSION] = "session",
		[AYREI_STEP_GROUP] = "group",         [AYREI_STEP_LIMIT] = "limit",
		[AYREI_STEP_DIRECTORY] = "directory", [AYREI_STEP_WIRE] = "wire",
		[AYREI_STEP_EXECUTE] = "execute",
	};

	return names[step];
}

/* --- in the child --- */

#define CALL0(number)          ayrei_raw_call(number, 0, 0, 0, 0, 0)
#define CALL1(number, a)       ayrei_raw_call(number, (long)(a), 0, 0, 0, 0)
#define CALL2(number, a, b)    ayrei_raw_call(number, (long)(a), (long)(b), 0, 0, 0)
#define CALL3(number, a, b, c) ayrei_raw_call(number, (long)(a), (long)(b), (long)(c), 0, 0)
#define CALL4(number, a, b, c, d) \
	ayrei_raw_call(number, (long)(a), (long)(b), (long)(c), (long)(d), 0)

AYREI_BARE static void set_default(int number)
{
	/* Static, or some compilers would call memset(3). */
	static const struct kernel_sigaction action = {0};

	CALL4(SYS_rt_sigaction, number, &action, NULL, KERNEL_SET_BYTES);
}

/*
 * What is ignored stays ignored, so that nohup(1) works through us; but programs rely on the
 * meaning of three that hosts like to ignore.
 */
AYREI_BARE static void reset_signals(bool handlers_stand)
{
	for (int number = 1; handlers_stand && number <= KERNEL_SIGNALS; number++) {
		struct kernel_sigaction action;

		if (number >= LIBRARY_FIRST && number <= LIBRARY_LAST)
			continue;
		if (CALL4(SYS_rt_sigaction, number, NULL, &action, KERNEL_SET_BYTES) == 0 &&
		    action.handler != (void *)SIG_IGN)
			set_default(number);
	}
	set_default(SIGPIPE);
	set_default(SIGXFSZ);
	set_default(SIGCHLD);
}

AYREI_BARE static bool is_target(const struct ayrei_child *child, long fd)
{
	for (size_t i = 0; i < child->wire_count; i++)
		if (child->wires[i].target == fd)
			return true;
	return false;
}

/* A source that another wire is about to overwrite moves to where no wire goes. */
AYREI_BARE static long move_source(const struct ayrei_child *child, struct ayrei_child_wire *wire)
{
	long least = FIRST_FREE, fd;

	if (wire->source == wire->target || !is_target(child, wire->source))
		return 0;
	for (;;) {
		fd = CALL3(SYS_fcntl, wire->source, F_DUPFD_CLOEXEC, least);
		/* EINVAL: `least` alone is beyond the limit. */
		if (fd < 0)
			return fd == -EINVAL ? -EMFILE : fd;
		if (!is_target(child, fd))
			break;
		CALL1(SYS_close, fd);
		least = fd + 1;
	}
	wire->source = (int)fd;
	return 0;
}

/* dup3(2) refuses to do nothing, and dup2(2) would leave the descriptor close-on-exec. */
AYREI_BARE static long place(const struct ayrei_child_wire *wire)
{
	if (wire->source == wire->target)
		return CALL3(SYS_fcntl, wire->target, F_SETFD, 0);
	return CALL3(SYS_dup3, wire->source, wire->target, 0);
}

AYREI_BARE static long connect_wires(struct ayrei_child *child)
{
	long result = 0;

	for (size_t i = 0; result >= 0 && i < child->wire_count; i++)
		result = move_source(child, &child->wires[i]);
	/* Whatever the host forgot to mark, in a time that does not depend on how many there are. */
	if (result >= 0)
		result = CALL3(SYS_close_range, FIRST_FREE, UINT_MAX, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; result >= 0 && i < child->wire_count; i++)
		result = place(&child->wires[i]);
	return result;
}

/* All but 0, 1, 2 and what is wired, be it ever so far up. */
AYREI_BARE static long close_others(const struct ayrei_child *child)
{
	for (unsigned int from = FIRST_FREE;;) {
		unsigned int to = UINT_MAX;
		long result = 0;

		for (size_t i = 0; i < child->wire_count; i++)
			if ((unsigned int)child->wires[i].target >= from &&
			    (unsigned int)child->wires[i].target < to)
				to = (unsigned int)child->wires[i].target;
		if (to == UINT_MAX)
			return CALL3(SYS_close_range, from, UINT_MAX, 0);
		if (to > from)
			result = CALL3(SYS_close_range, from, to - 1, 0);
		if (result < 0)
			return result;
		from = to + 1;
	}
}

AYREI_BARE static long set_limits(const struct ayrei_child *child)
{
	for (size_t i = 0; i < child->limit_count; i++) {
		long result = CALL4(SYS_prlimit64, 0, child->limits[i].resource,
		                    &child->limits[i].limit, NULL);

		if (result < 0)
			return result;
	}
	return 0;
}

/* The host may have died before the kernel was told. 0: it lives in another namespace. */
AYREI_BARE static long die_with(pid_t host)
{
	long result = CALL2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL), parent = CALL0(SYS_getppid);

	return result == 0 && parent != host && parent != 0 ? -ESRCH : result;
}

/* What was needed only on the way. */
AYREI_BARE static void survive_host(const struct ayrei_child *child)
{
	if (!(child->flags & AYREI_CHILD_DIE_WITH_PARENT))
		CALL2(SYS_prctl, PR_SET_PDEATHSIG, 0);
}

AYREI_BARE static bool try_step(struct ayrei_child *child, enum ayrei_child_step step, long result)
{
	if (result >= 0)
		return true;
	child->step = step;
	child->code = (int)result;
	return false;
}

/* Limits come last: one on descriptors must not hinder the wiring. */
AYREI_BARE static bool prepare(struct ayrei_child *child)
{
	uint32_t flags = child->flags;

	return try_step(child, AYREI_STEP_PARENT, die_with(child->host)) &&
	       (!(flags & AYREI_CHILD_NEW_SESSION) ||
	        try_step(child, AYREI_STEP_SESSION, CALL0(SYS_setsid))) &&
	       (!(flags & (AYREI_CHILD_NEW_GROUP | AYREI_CHILD_JOIN_GROUP)) ||
	        flags & AYREI_CHILD_NEW_SESSION ||
	        try_step(child, AYREI_STEP_GROUP, CALL2(SYS_setpgid, 0, child->group))) &&
	       (child->directory_fd < 0 ||
	        try_step(child, AYREI_STEP_DIRECTORY, CALL1(SYS_fchdir, child->directory_fd))) &&
	       try_step(child, AYREI_STEP_WIRE, connect_wires(child)) &&
	       try_step(child, AYREI_STEP_LIMIT, set_limits(child));
}

/* Returns whether all are ready. */
AYREI_BARE static bool pass_gate(struct passage *passage)
{
	/* Acquire: the host opens it when it has seen all be ready. */
	int state = atomic_load_explicit(passage->gate, memory_order_acquire);

	if (state == GATE_CLOSED) {
		/* Release: the host sees what was prepared. */
		atomic_store_explicit(&passage->place, PLACE_READY, memory_order_release);
		CALL3(SYS_futex, &passage->place, FUTEX_WAKE, 1);
	}
	while (state == GATE_CLOSED) {
		CALL4(SYS_futex, passage->gate, FUTEX_WAIT_PRIVATE, GATE_CLOSED, NULL);
		state = atomic_load_explicit(passage->gate, memory_order_acquire);
	}
	return state == GATE_OPEN;
}

AYREI_BARE static long execute(const struct ayrei_child *child)
{
	struct timespec pause = {.tv_nsec = 1000000};
	const unsigned long none = 0;
	long result;

	survive_host(child);
	CALL4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SET_BYTES);
	for (int i = 0; i < BUSY_TRIES; i++) {
		result = CALL3(SYS_execve, child->path, child->arguments, child->environment);
		if (result != -ETXTBSY)
			break;
		/* The writer may be the host, whose descriptors this is a copy of. */
		close_others(child);
		CALL2(SYS_nanosleep, &pause, NULL);
		pause.tv_nsec *= 2;
	}
	return result;
}

AYREI_BARE static int child_main(void *argument)
{
	struct passage *passage = argument;
	struct ayrei_child *child = passage->child;

	reset_signals(passage->handlers_stand);
	if (prepare(child) && pass_gate(passage))
		try_step(child, AYREI_STEP_EXECUTE, execute(child));
	CALL1(SYS_exit_group, 127);
	return 0;
}

/* --- in the host --- */

/*
 * clone3(2) returns twice, the second time on another stack, where nothing of the caller's frame
 * is: the child calls run(argument) at once, which does not return. Nobody but the assembler
 * can say that.
 */
long ayrei_clone3(struct clone_args *arguments, size_t size, int (*run)(void *argument),
                  void *argument);

#if defined(__x86_64__)
__asm__(".pushsection .text\n"
        ".type ayrei_clone3, @function\n"
        ".hidden ayrei_clone3\n"
        ".globl ayrei_clone3\n"
        "ayrei_clone3:\n"
        "	mov %rdx, %r8\n"
        "	mov %rcx, %r9\n"
        "	mov $435, %eax\n"
        "	syscall\n"
        "	test %rax, %rax\n"
        "	jz 1f\n"
        "	ret\n"
        "1:	xor %ebp, %ebp\n"
        "	mov %r9, %rdi\n"
        "	call *%r8\n"
        "	hlt\n"
        ".size ayrei_clone3, . - ayrei_clone3\n"
        ".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
        ".balign 4\n"
        ".type ayrei_clone3, %function\n"
        ".hidden ayrei_clone3\n"
        ".globl ayrei_clone3\n"
        "ayrei_clone3:\n"
        "	mov x8, #435\n"
        "	svc #0\n"
        "	cbz x0, 1f\n"
        "	ret\n"
        "1:	mov x29, xzr\n"
        "	mov x30, xzr\n"
        "	mov x0, x3\n"
        "	blr x2\n"
        "	brk #1\n"
        ".size ayrei_clone3, . - ayrei_clone3\n"
        ".popsection\n");
#endif

/* clone3(2) is hidden from some (seccomp filters that cannot look into its struct say ENOSYS). */
static int clone_old(struct passage *passage, char *stack, int *ret_pidfd)
{
	passage->handlers_stand = true;
	return AYREI_RESULT(clone(child_main, stack + STACK_BYTES,
	                          CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID | SIGCHLD, passage,
	                          ret_pidfd, NULL, &passage->place));
}

int ayrei_clone_probe(void)
{
	/* No arguments can be this short: whoever knows the call refuses them. */
	int result = (int)AYREI_RESULT(syscall(SYS_clone3, NULL, 0));

	return result == -EINVAL ? 0 : result;
}

static int clone_one(struct passage *passage, char *stack)
{
	struct ayrei_child *child = passage->child;
	int pidfd = -1;
	struct clone_args arguments = {
		.flags = CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)&pidfd,
		.child_tid = (uintptr_t)&passage->place,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = STACK_BYTES,
	};
	long pid;

	atomic_store_explicit(&passage->place, PLACE_INSIDE, memory_order_relaxed);
	pid = ayrei_clone3(&arguments, sizeof(arguments), child_main, passage);
	if (pid == -ENOSYS || pid == -EPERM)
		pid = clone_old(passage, stack, &pidfd);
	if (pid < 0) {
		atomic_store_explicit(&passage->place, PLACE_GONE, memory_order_relaxed);
		child->step = AYREI_STEP_CLONE;
		child->code = (int)pid;
		return (int)pid;
	}
	child->pid = (pid_t)pid;
	child->pidfd = pidfd;
	return 0;
}

/* Until it is there or further. Returns where it is. */
static int await_place(atomic_int *place, enum place wanted)
{
	int now;

	/* Not private: the kernel wakes as if others had the word mapped. */
	while ((now = atomic_load_explicit(place, memory_order_acquire)) > (int)wanted)
		ayrei_raw_call(SYS_futex, (long)place, FUTEX_WAIT, now, 0, 0);
	return now;
}

static void set_gate(atomic_int *gate, enum gate_state state)
{
	/* Release: who passes sees all that was written before. */
	atomic_store_explicit(gate, (int)state, memory_order_release);
	ayrei_raw_call(SYS_futex, (long)gate, FUTEX_WAKE_PRIVATE, INT_MAX, 0, 0);
}

static void clone_all(struct ayrei_child *children, struct passage *passages, size_t count,
                      atomic_int *gate, char *stacks)
{
	for (size_t i = 0; i < count; i++) {
		passages[i] = (struct passage){.child = &children[i], .gate = gate};
		if (children[i].flags & AYREI_CHILD_JOIN_GROUP && !children[i].group)
			children[i].group = children[0].pid;
		if (clone_one(&passages[i], stacks + i * STACK_BYTES) < 0) {
			set_gate(gate, GATE_FAILED);
			return;
		}
		/*
		 * Before the second joins: the child does it too, but perhaps later. Who leads a
		 * group cannot begin a session, which makes one anyway.
		 */
		if ((children[i].flags & (AYREI_CHILD_NEW_GROUP | AYREI_CHILD_NEW_SESSION)) ==
		    AYREI_CHILD_NEW_GROUP)
			(void)setpgid(children[i].pid, children[i].pid);
	}
}

/*
 * The gate opens when all are ready and the last step is done, and for none if one has left
 * before. Returns what the last step did.
 */
static int let_through(struct passage *passages, size_t count, atomic_int *gate,
                       int (*last_step)(void *context), void *context)
{
	int result = 0;

	for (size_t i = 0; i < count && *gate == GATE_CLOSED; i++) {
		struct ayrei_child *child = passages[i].child;

		if (await_place(&passages[i].place, PLACE_READY) == PLACE_READY)
			continue;
		if (child->code == 0)
			child->code = -ECANCELED;
		set_gate(gate, GATE_FAILED);
	}
	if (*gate == GATE_CLOSED) {
		result = last_step ? last_step(context) : 0;
		set_gate(gate, result < 0 ? GATE_FAILED : GATE_OPEN);
	}
	for (size_t i = 0; i < count; i++)
		await_place(&passages[i].place, PLACE_GONE);
	return result;
}

/* One that cannot be moved out of the way of 0, 1 and 2 is still there to end its child by. */
static void raise_pidfd(struct ayrei_child *child)
{
	int moved;

	if (child->pid == 0 || child->pidfd >= FIRST_FREE)
		return;
	moved = AYREI_RESULT(fcntl(child->pidfd, F_DUPFD_CLOEXEC, FIRST_FREE));
	if (moved >= 0) {
		ayrei_file_close(child->pidfd);
		child->pidfd = moved;
	} else if (child->code == 0) {
		child->step = AYREI_STEP_CLONE;
		child->code = moved;
	}
}

static void end_all(struct ayrei_child *children, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct ayrei_child *child = &children[i];

		if (child->pid == 0)
			continue;
		(void)ayrei_child_signal(child->pidfd, SIGKILL);
		ayrei_child_reap(child->pidfd);
		child->pidfd = ayrei_file_close(child->pidfd);
		child->pid = 0;
	}
}

static int find_failure(struct ayrei_child *children, size_t count, size_t *ret_failed)
{
	for (size_t i = 0; i < count; i++) {
		raise_pidfd(&children[i]);
		if (children[i].code) {
			*ret_failed = i;
			return children[i].code;
		}
	}
	return 0;
}

int ayrei_children_start_after(struct ayrei_child *children, size_t count,
                               int (*last_step)(void *context), void *context, size_t *ret_failed)
{
	size_t stack_bytes = count * (STACK_BYTES + sizeof(struct passage));
	atomic_int gate = count > 1 || last_step ? GATE_CLOSED : GATE_OPEN;
	struct passage *passages;
	sigset_t all, before;
	char *memory;
	int result, last;

	for (size_t i = 0; i < count; i++) {
		children[i].pid = 0;
		children[i].pidfd = -1;
		children[i].step = AYREI_STEP_NONE;
		children[i].code = 0;
	}
	*ret_failed = 0;
	memory = mmap(NULL, stack_bytes, PROT_READ | PROT_WRITE,
	              MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	passages = (struct passage *)(void *)(memory + count * STACK_BYTES);
	/*
	 * A child inherits the mask: no handler of the host's runs in it. But the host has its own
	 * back while it waits: a terminal's Ctrl-Z has to stop both, or nobody goes on.
	 */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	clone_all(children, passages, count, &gate, memory);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	last = let_through(passages, count, &gate, last_step, context);
	munmap(memory, stack_bytes);
	result = find_failure(children, count, ret_failed);
	if (result == 0 && last < 0) {
		result = last;
		*ret_failed = count;
	}
	if (result < 0)
		end_all(children, count);
	return result;
}

int ayrei_children_start(struct ayrei_child *children, size_t count, size_t *ret_failed)
{
	return ayrei_children_start_after(children, count, NULL, NULL, ret_failed);
}

/* --- in a child that is a fork --- */

int ayrei_child_prepare(struct ayrei_child *child)
{
	sigset_t none;

	reset_signals(true);
	/* close-on-exec closes nothing here. */
	if (!prepare(child) || !try_step(child, AYREI_STEP_WIRE, close_others(child)))
		return child->code;
	survive_host(child);
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	return 0;
}
