/*
 * Confinement: a process gives up everything it does not need, before it runs code or reads bytes
 * that nobody has to trust.
 *
 * It is made of layers. Each is tried, and what holds afterwards is told; a layer that has to
 * hold and cannot is an error. None needs a privilege, and none can be taken back.
 *
 *   no-new-privs   exec gives nothing that the process does not have
 *   undumpable     no process of the same user can look into it, trace it, or take its descriptors
 *   capabilities   none are left, also of root's
 *   descriptors    all are closed but those that are kept
 *   landlock       no file, no TCP, no abstract socket, no signal to others, as far as the kernel's
 *                  Landlock can forbid it
 *   limits         of memory, of processor time, of files written; no new descriptor, process,
 *                  locked memory or message queue, no core file
 *   seccomp        a list of some forty system calls, for its own memory, its descriptors and
 *                  waiting; every other one ends the process
 *   namespaces     no mounts but an empty directory, no System V objects, host names or control
 *                  groups of others, where the kernel gives user namespaces to ordinary users
 *   code           writable memory never becomes executable (Linux 6.3; seccomp forbids it too)
 *
 * A process counts as confined if all of them hold but the last two and Landlock: what these
 * three forbid the system call list forbids as well. They stand behind it, for the day when it
 * has a hole.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/api.h>
#include <ayre/error.h>

AYRE_BEGIN_DECLARATIONS

/* In the order in which they are laid, but for the last two, which are told last. */
enum ayre_layer {
	AYRE_LAYER_NO_NEW_PRIVS = 1u << 0,
	AYRE_LAYER_UNDUMPABLE = 1u << 1,
	AYRE_LAYER_CAPABILITIES = 1u << 2,
	AYRE_LAYER_DESCRIPTORS = 1u << 3,
	AYRE_LAYER_LANDLOCK = 1u << 4,
	AYRE_LAYER_LIMITS = 1u << 5,
	AYRE_LAYER_SECCOMP = 1u << 6,
	AYRE_LAYER_NAMESPACES = 1u << 7,
	AYRE_LAYER_CODE = 1u << 8,
};

#define AYRE_LAYER_COUNT 9

/* Those that have to hold, unless the caller says otherwise. */
#define AYRE_LAYERS_MANDATORY \
	(AYRE_LAYER_NO_NEW_PRIVS | AYRE_LAYER_UNDUMPABLE | AYRE_LAYER_CAPABILITIES | \
	 AYRE_LAYER_DESCRIPTORS | AYRE_LAYER_LANDLOCK | AYRE_LAYER_LIMITS | AYRE_LAYER_SECCOMP)

/* Those without which a process does not count as confined. */
#define AYRE_LAYERS_CONFINED (AYRE_LAYERS_MANDATORY & ~AYRE_LAYER_LANDLOCK)

/* What holds, or would. */
struct ayre_posture {
	size_t size;     /* sizeof(struct ayre_posture) */
	uint32_t layers; /* enum ayre_layer, those that hold */
	bool confined;   /* they are enough */
	/* Of Landlock: 1 or more; 0: there is none. The higher, the more it forbids. */
	int32_t landlock_abi;
	/*
	 * By the number of the layer's bit: 0 if it holds, or the negative errno that it failed
	 * with; -ECANCELED: it was not tried.
	 */
	int32_t codes[AYRE_LAYER_COUNT];
};

enum ayre_confine_flags {
	/*
	 * A forbidden system call raises SIGSYS (sigaction(2), si_syscall) instead of ending the
	 * process.
	 */
	AYRE_CONFINE_REPORT = 1u << 0,
};

struct ayre_confine_options {
	size_t size; /* sizeof(struct ayre_confine_options) */
	/*
	 * Layers to be done without: enum ayre_layer. They are not tried. Landlock and seccomp need
	 * AYRE_LAYER_NO_NEW_PRIVS.
	 */
	uint32_t without;
	/* Layers that have to hold besides the mandatory ones: AYRE_LAYER_NAMESPACES, _CODE. */
	uint32_t require;
	uint32_t flags; /* enum ayre_confine_flags */
	/*
	 * Descriptors that stay open, in any order; borrowed. All others are closed, 0 to 2 among
	 * them.
	 */
	const int *keep;
	size_t keep_count;
	/*
	 * Address space that it may map from now on, bytes; 0: 1 GiB. UINT64_MAX: no limit, which is
	 * the only one that needs no /proc.
	 */
	uint64_t memory_bytes;
	/* The size to which it may write a file; 0: none. Pipes and sockets have no size. */
	uint64_t file_bytes;
	/* Processor time in all, before and after, after which the kernel kills it; 0: no limit. */
	uint32_t cpu_seconds;
};

/**
 * ayre_confine() - give up everything but memory, time, and the descriptors that are kept
 * @options: borrowed; NULL: all zero, which keeps no descriptor
 * @ret_posture: what holds now; may be NULL; its size has to be set
 * @error: which layer failed, and why; may be NULL
 *
 * For a process that has one thread, and that loaded all it needs: nothing can be opened, started
 * or loaded afterwards. What remains are reading and writing the descriptors that were kept,
 * memory that is not executable, futexes, clocks, sleep, randomness, and exit. malloc(3), stdio
 * on a kept descriptor, and the functions of the C library that touch nothing outside go on
 * working; those that try files, terminals or threads get the error that a machine without them
 * would give.
 *
 * It cannot be undone, and it is not undone if it fails: then the process has lost some of it, and
 * should end. A second call would be a forbidden one.
 *
 * Returns 0, or a negative errno: -EBUSY if there are other threads, -EBADF if a descriptor to be
 * kept is not open, -EINVAL for unknown layers or flags; or what the mandatory layer failed with,
 * whose name is in the error: -ENOSYS or -EOPNOTSUPP where the kernel has no such thing, -EPERM
 * where it is forbidden. Since 0.1.
 */
int ayre_confine(const struct ayre_confine_options *options, struct ayre_posture *ret_posture,
                 struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_posture_probe() - find out which layers this kernel gives to this user
 * @ret_posture: its size has to be set
 * @error: may be NULL
 *
 * Makes a child that confines itself with all layers it can get and tells, and waits for it;
 * about a millisecond. The caller's own child signals and waits do not see it.
 *
 * Returns 0, or a negative errno: -EINVAL without a size, -EAGAIN or -ENOMEM if no process could be
 * made, -EPIPE if it was killed before it could tell. Since 0.1.
 */
int ayre_posture_probe(struct ayre_posture *ret_posture, struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_layer_name() - a layer's name
 * @layer: one of enum ayre_layer
 *
 * Returns "landlock" and so on; NULL if there is no such layer. Since 0.1.
 */
const char *ayre_layer_name(uint32_t layer);

/**
 * ayre_layer_by_name() - the layer with a name
 * @name: borrowed
 *
 * Returns one of enum ayre_layer, or -EINVAL. Since 0.1.
 */
int ayre_layer_by_name(const char *name) AYRE_MUST_CHECK;

/*
 * --- workers ---
 *
 * A worker runs the functions of one module, a shared library (ayre/module.h), in processes of its
 * own. The module is loaded once, by a process (the zygote) that gave up nearly everything before:
 * it can read the system's libraries, the module, and what the options say, and write nothing. For
 * each call that process makes a copy of itself, which gives up the rest by ayre_confine() and runs the
 * function. So what one input did to its process is gone before the next one comes. The next copy is
 * made while the host does something else, so that a call seldom waits for it.
 *
 * Requests lie in memory that a process can only read, replies in memory that it can write. Each process has
 * its own of both, and what it writes is read once, judged, and copied.
 *
 * All of them end with the worker, and with the host, also if that is killed, and whatever a hostile
 * constructor did: the zygote's parent, in which nothing of the module runs, ends them. Where user namespaces are
 * to be had the zygote is number 1 in a process namespace, where its processes are counted and limited, but for
 * root's. Only where neither this nor seccomp holds can a hostile constructor leave processes behind.
 *
 * There are two ways to call. ayre_worker_call() waits for the reply. ayre_worker_submit() does not: up to so
 * many calls as the options say are under way at once, each in its own process; ayre_worker_collect_until()
 * has them as they end, in whatever order that is, and ayre_worker_fd() is for an event loop.
 */
struct ayre_worker;

enum ayre_worker_flags {
	/* Processes serve call after call, until they die: faster, and one input can spoil the next. */
	AYRE_WORKER_KEEP = 1u << 0,
};

#define AYRE_WORKER_PROCESSES_MAX 64
#define AYRE_WORKER_NONE          UINT32_MAX /* where 0 means a default */

struct ayre_worker_options {
	size_t size;    /* sizeof(struct ayre_worker_options) */
	uint32_t flags; /* enum ayre_worker_flags */
	/* Layers to be done without, as in ayre_confine_options: zygote and workers do not try them. */
	uint32_t without;
	/* Address space that a process may map besides the module, bytes; 0: 1 GiB. */
	uint64_t memory_bytes;
	/* Processor time of a process, rounded up to whole seconds, then SIGXCPU; 0: no limit. */
	int64_t cpu_ns;
	/* For calls that have no deadline of their own, ns; 0: 10 seconds; AYRE_NO_DEADLINE: for ever. */
	int64_t timeout_ns;
	/* For loading the module, whose constructors may never return; as above. */
	int64_t load_timeout_ns;
	/*
	 * The largest request and reply, bytes, up to 2^40; 0: 64 MiB. Address space, which becomes
	 * memory as far as it is filled; in a new process, as far as the last reply was, below 8 MiB.
	 */
	uint64_t request_max, reply_max;
	/* The largest input (struct ayre_worker_job), likewise; 0: 1 GiB. */
	uint64_t input_max;
	/*
	 * Files and directories that can be read while the module is loaded, besides the module and
	 * the system's libraries; borrowed. What is below a directory counts.
	 */
	const char *const *reads;
	size_t read_count;
	/* Calls that can be under way at once; 0: 1; up to AYRE_WORKER_PROCESSES_MAX. */
	uint32_t processes;
	/* Processes that stand by for the next calls besides; 0: 1; AYRE_WORKER_NONE. */
	uint32_t spares;
	/* Before sleeping, host and process wait for each other so long: AYRE_SPIN_..., or ns. */
	int64_t spin_ns;
	/* With AYRE_WORKER_KEEP: another process after so many calls; 0: never. */
	uint64_t calls_max;
	/*
	 * A request that so many processes died of, or had time for and overran, is refused; 0: 2;
	 * AYRE_WORKER_NONE.
	 */
	uint32_t poison_max;
	uint32_t reserved;
	/*
	 * With AYRE_WORKER_KEEP: processes that die one after the other, with no answer between, are
	 * started again after pauses, the third after a millisecond, each twice as long as the one
	 * before, up to so much; 0: a second; -1: at once. Those that die before they had any call
	 * wait up to a second in any case.
	 */
	int64_t pause_max_ns;
};

enum ayre_worker_end_kind {
	AYRE_WORKER_RUNNING = 0, /* none has ended but as it should */
	AYRE_WORKER_EXITED,      /* it called exit: @status */
	AYRE_WORKER_KILLED,      /* by a signal: @signal, and for a fault @address */
	AYRE_WORKER_FORBIDDEN,   /* it made a system call that it may not make: @system_call */
	AYRE_WORKER_STACK,       /* its stack was full: @address */
	AYRE_WORKER_MEMORY,      /* it died of a signal after memory was refused to it */
	AYRE_WORKER_CPU,         /* its processor time was used up */
	AYRE_WORKER_DEADLINE,    /* the call's deadline passed, and it was ended */
	AYRE_WORKER_LOST,        /* its zygote ended, or broke the protocol */
};

/*
 * How a process ended that should not have. That it did is true: the kernel said so to the zygote, or the
 * process itself that it dies, and the host ended it then. Who dies of a signal says so first: of which, and
 * why, is its own word then, and can be a lie. Status, deadline and times are not the process's word.
 */
struct ayre_worker_end {
	size_t size;         /* sizeof(struct ayre_worker_end) */
	uint32_t kind;       /* enum ayre_worker_end_kind */
	int32_t status;      /* of exit(2) */
	int32_t signal;      /* that it died of; 0: none */
	int32_t system_call; /* its number; -1: none */
	bool has_address;
	/* When a deadline passed: it was computing, for a tenth of the time or more. Else it slept. */
	bool was_busy;
	uint64_t address; /* that it could not reach */
	uint64_t call; /* which one it served: 1, 2, ... as ayre_worker_info counts them; 0: none */
	int64_t cpu_ns; /* user and system; -1: not known, or not yet: ayre_worker_end_until() */
	int64_t max_rss_bytes; /* likewise */
};

struct ayre_worker_info {
	size_t size;          /* sizeof(struct ayre_worker_info) */
	uint64_t calls;       /* so far */
	uint64_t processes;   /* that were started for them, or to stand by */
	uint64_t ends;        /* that ended as they should not have */
	int32_t result;       /* what the function returned in the last call that ended */
	uint32_t under_way;   /* calls that were submitted, and neither released nor cancelled */
	uint64_t reply_bytes; /* of the last reply; after -EMSGSIZE what would have been needed */
	uint64_t refused;     /* calls, for what the same request had done before */
};

/**
 * ayre_worker_open() - load a module, for functions of it to be called
 * @options: borrowed; NULL: all zero
 * @module: path of a shared library; borrowed
 * @ret_worker: to be closed with ayre_worker_close()
 * @error: may be NULL; if the module cannot be loaded, it has what the loader said
 *
 * Starts the zygote, which loads the module with all that it needs (RTLD_NOW), and waits for it. Nothing of
 * the host gets there: no descriptor, no environment, no memory.
 *
 * Returns 0, or a negative errno: -ENOENT, -EACCES for the module itself, -ELIBBAD if the loader
 * refused it, -ETIMEDOUT if it was not loaded in time, -EPIPE if the zygote died meanwhile, of a
 * constructor, say, or what a mandatory layer failed with. Since 0.1.
 */
int ayre_worker_open(const struct ayre_worker_options *options, const char *module,
                     struct ayre_worker **ret_worker, struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_worker_close() - end its processes, and unload the module with them
 * @worker: NULL does nothing
 *
 * Since 0.1.
 */
void ayre_worker_close(struct ayre_worker *worker);

/**
 * ayre_worker_call() - call a function of the module, and wait for its reply
 * @worker: by one thread at a time
 * @function: its name, up to 255 bytes; borrowed
 * @request: copied; may be NULL if @request_bytes is 0
 * @reply: where the reply is copied to; untouched on failure, but see -EREMOTEIO
 * @reply_capacity: room there, bytes
 *
 * The deadline is the timeout of the options, from now. A process that has not answered by then is
 * ended. Whatever happens to the process, the next call has another one.
 *
 * Returns the reply's size, or a negative errno:
 *
 *   -EREMOTEIO   the function returned something else than 0: ayre_worker_info, result. What it
 *                replied is in @reply all the same, reply_bytes of it.
 *   -EPIPE       the process died: ayre_worker_last_end() says of what
 *   -ETIMEDOUT   the deadline passed, and the process was ended; or it had passed before there was one
 *   -ENOENT      the module has no such function
 *   -EMSGSIZE    the request is larger than request_max, or the reply than @reply_capacity or
 *                reply_max
 *   -EPROTO      the reply makes no sense; the process was ended
 *   -EBADMSG     this request ended poison_max processes before: it was not tried
 *   -EBUSY       all calls that can be under way are
 *   -ENOTCONN    the zygote is gone: only ayre_worker_close() is left
 *
 * or what no process could be started or confined for. Since 0.1.
 */
ssize_t ayre_worker_call(struct ayre_worker *worker, const char *function, const void *request,
                         size_t request_bytes, void *reply, size_t reply_capacity) AYRE_MUST_CHECK;

/**
 * ayre_worker_call_until() - the same with a deadline of its own
 * @deadline_ns: absolute, CLOCK_MONOTONIC; AYRE_NO_DEADLINE: none
 *
 * Since 0.1.
 */
ssize_t ayre_worker_call_until(struct ayre_worker *worker, const char *function,
                               const void *request, size_t request_bytes, void *reply,
                               size_t reply_capacity, int64_t deadline_ns) AYRE_MUST_CHECK;

/* --- calls that are not waited for --- */

enum ayre_worker_job_flags {
	/* There is an @input. */
	AYRE_WORKER_INPUT = 1u << 0,
};

struct ayre_worker_job {
	size_t size;          /* sizeof(struct ayre_worker_job) */
	const char *function; /* up to 255 bytes; borrowed */
	const void *request;  /* copied; may be NULL if there are no bytes */
	size_t request_bytes;
	/* Absolute, CLOCK_MONOTONIC; AYRE_NO_DEADLINE: none; 0: the timeout of the options, from now. */
	int64_t deadline_ns;
	/* That the reply may have, bytes; 0: reply_max. */
	uint64_t reply_capacity;
	uint32_t flags; /* enum ayre_worker_job_flags */
	/*
	 * With AYRE_WORKER_INPUT, a file that the function has in its memory besides the request
	 * (ayre/module.h), without a copy: a sealed memory file, or any other that can be read and
	 * mapped; borrowed until the call was submitted. It is mapped whole and privately, to be read.
	 * Who may cut the file short can end the process, and not the host. Such a call has a new
	 * process to itself, also with AYRE_WORKER_KEEP, and none that stands by.
	 */
	int input;
};

/* What a call came to. */
struct ayre_worker_answer {
	size_t size;   /* sizeof(struct ayre_worker_answer) */
	uint64_t call; /* its number */
	/* The reply's size, or a negative errno as ayre_worker_call() has it. */
	int64_t outcome;
	int32_t result; /* what the function returned */
	uint32_t reserved;
	/*
	 * The reply in place, until ayre_worker_release(); NULL if there is none. A process that is
	 * alive can still change it: copy what has a structure before it is looked at, or
	 * ayre_worker_freeze() it. Pixels and sound, of which any value will do, can be used as they are.
	 */
	const void *data;
	uint64_t bytes;             /* of it; after -EMSGSIZE what would have been needed */
	struct ayre_worker_end end; /* of its process, if that ended */
};

/**
 * ayre_worker_submit() - begin a call
 * @job: borrowed
 * @ret_call: its number, 1, 2, ...; may be NULL
 *
 * Never waits. Returns 0, or a negative errno: -EAGAIN if as many calls are under way as there can be (those
 * that were collected and not released count), or no process can take it yet: when ayre_worker_fd() is
 * readable, collect, and try again; -ETIMEDOUT if the deadline has passed. Others as for ayre_worker_call(),
 * as far as they are known before it begins; -EBADF, -EACCES, -ENODEV for an input that cannot be read or
 * mapped. Since 0.1.
 */
int ayre_worker_submit(struct ayre_worker *worker, const struct ayre_worker_job *job,
                       uint64_t *ret_call) AYRE_MUST_CHECK;

/**
 * ayre_worker_fd() - a descriptor that is readable when there is something to collect
 *
 * For poll(2), epoll(7) and event loops. When it is readable, call ayre_worker_try_collect() until
 * that fails, even if nothing is under way: processes that ended or started, and deadlines, are heard
 * of there, and memory that a large reply has taken is given back, a little each time. After a submission that
 * found no room it is readable too when there is some again, in whatever order submitting, collecting and
 * waiting come.
 *
 * It stays the same, and the worker's: to be waited for, and not to be read or closed.
 *
 * Returns it, or a negative errno if none can be made. Since 0.1.
 */
int ayre_worker_fd(struct ayre_worker *worker);

/**
 * ayre_worker_try_collect() - a call that has ended, if there is one
 * @ret_answer: its size has to be set; to be given back with ayre_worker_release()
 *
 * Returns 0, or a negative errno: -EAGAIN if none has ended, -ENOMSG if none is under way that was not
 * collected, -ENOTCONN if the zygote is gone and no answer is left. What a call came to is in the answer.
 * Since 0.1.
 */
int ayre_worker_try_collect(struct ayre_worker *worker, struct ayre_worker_answer *ret_answer)
	AYRE_MUST_CHECK;

/**
 * ayre_worker_collect_until() - a call that has ended, or will by then
 * @deadline_ns: absolute, CLOCK_MONOTONIC; AYRE_NO_DEADLINE: however long it takes
 *
 * As above, with -ETIMEDOUT instead of -EAGAIN. Since 0.1.
 */
int ayre_worker_collect_until(struct ayre_worker *worker, int64_t deadline_ns,
                              struct ayre_worker_answer *ret_answer) AYRE_MUST_CHECK;

/**
 * ayre_worker_freeze() - have a reply that nobody can change any more
 * @call: one that was collected
 *
 * Stops its process until ayre_worker_release(), or waits for its end where it has ended; afterwards data and
 * bytes of the answer can be read in place as if they had been copied. To stop one takes a tenth of a
 * millisecond, however large the reply is; an end takes the longer, the more memory the process had.
 *
 * Returns 0, or a negative errno: -ENOENT if no such call was collected, -ETIMEDOUT if the process does not
 * stop within a second, -ENOTCONN if the zygote is gone; what /proc cannot be read for. Since 0.1.
 */
int ayre_worker_freeze(struct ayre_worker *worker, uint64_t call) AYRE_MUST_CHECK;

/**
 * ayre_worker_release() - give a collected answer back
 * @call: its number; of one that was not collected: does nothing
 *
 * What data pointed to is gone. Since 0.1.
 */
void ayre_worker_release(struct ayre_worker *worker, uint64_t call);

/**
 * ayre_worker_cancel() - end a call that is under way, and forget it
 *
 * Its process is ended. Does nothing for numbers that are not under way. Since 0.1.
 */
void ayre_worker_cancel(struct ayre_worker *worker, uint64_t call);

/* --- looking --- */

/**
 * ayre_worker_get_info() - what was called, and what the last call came to
 * @ret_info: its size has to be set
 *
 * Returns 0, or -EINVAL without a size. Since 0.1.
 */
int ayre_worker_get_info(const struct ayre_worker *worker, struct ayre_worker_info *ret_info)
	AYRE_MUST_CHECK;

/**
 * ayre_worker_last_end() - how the last process ended that ended as it should not have
 * @ret_end: its size has to be set; its kind is AYRE_WORKER_RUNNING if none has
 *
 * Returns 0, or -EINVAL without a size. Since 0.1.
 */
int ayre_worker_last_end(const struct ayre_worker *worker, struct ayre_worker_end *ret_end)
	AYRE_MUST_CHECK;

/**
 * ayre_worker_end_until() - the same when its process has gone, or that of a call that was collected
 * @call: one that was collected and not given back; 0: that of the last end
 * @deadline_ns: absolute, CLOCK_MONOTONIC; AYRE_NO_DEADLINE: however long it takes
 * @ret_end: its size has to be set; its kind is AYRE_WORKER_RUNNING if there was no such end
 *
 * A process tells that it dies before the kernel has taken its memory back, and only then tells what it used:
 * cpu_ns and max_rss_bytes, which may be -1 before. That takes a millisecond, or longer if it had much memory.
 *
 * Returns 0, or a negative errno: -ETIMEDOUT if it is not told by the deadline, -ENOENT if no such call was
 * collected, -EINVAL without a size. Where the zygote is gone nobody tells, and the figures stay -1. Since 0.1.
 */
int ayre_worker_end_until(struct ayre_worker *worker, uint64_t call, int64_t deadline_ns,
                          struct ayre_worker_end *ret_end) AYRE_MUST_CHECK;

/**
 * ayre_worker_end_text() - an end as a line for people
 * @end: borrowed
 * @text: where the line goes; always NUL-terminated if @text_bytes > 0
 * @text_bytes: room there; 160 is enough
 *
 * "killed by SIGSEGV at address 0x10", "made the forbidden system call openat". Returns @text. Since 0.1.
 */
const char *ayre_worker_end_text(const struct ayre_worker_end *end, char *text, size_t text_bytes);

/**
 * ayre_system_call_name() - the name of a system call of this machine
 * @number: as in sigaction(2), si_syscall
 *
 * Returns "openat" and so on; NULL if there is no such call, or it is newer than ayre. Since 0.1.
 */
const char *ayre_system_call_name(int number);

AYRE_END_DECLARATIONS
