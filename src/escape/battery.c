/*
 * The battery: each attempt in a process of its own, that confines itself as any user of the
 * library would.
 *
 * Invariant: an attempt counts as held only if the kernel said so, by an error or by the
 * process's end. One that does not end in time has got out, and one whose process could not be
 * confined was none.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "escape/attempt.h"
#include "escape/escape.h"
#include "escape/tier.h"
#include "sys/child.h"
#include "sys/file.h"
#include "sys/pipe.h"

/* Long enough for a second of processor time on a busy machine. */
#define DEADLINE_MS 20000

/* Less than map-much asks for; burn-time needs more than so much time. */
#define MEMORY_BYTES (UINT64_C(256) << 20)
#define CPU_SECONDS  1

/* Exit codes: 0 got out, errno held. No errno is as high as this. */
#define CODE_BROKEN 250

static const struct escape_group *const groups[] = {
	&escape_files,  &escape_network, &escape_processes, &escape_memory,
	&escape_kernel, &escape_limits,  &escape_ipc,       &escape_descriptors,
};

#define GROUPS (sizeof(groups) / sizeof(*groups))

const struct escape_attempt *escape_attempt_at(size_t number, const struct escape_group **ret_group)
{
	for (size_t i = 0; i < GROUPS; i++) {
		if (number < groups[i]->count) {
			*ret_group = groups[i];
			return &groups[i]->attempts[number];
		}
		number -= groups[i]->count;
	}
	return NULL;
}

/* In a child, for good. */
static int confine(enum escape_tier tier, uint32_t without, const int *keep, size_t keep_count,
                   struct ayre_posture *ret_posture, struct ayre_error *error)
{
	const struct ayre_confine_options options = {
		.size = sizeof(options),
		.without = without,
		.keep = keep,
		.keep_count = keep_count,
		.memory_bytes = MEMORY_BYTES,
		.cpu_seconds = CPU_SECONDS,
	};
	int result = escape_tier_enter(tier);

	if (result < 0)
		return ayrei_fail(error, result, "filter", "tier",
		                  "a kernel that lacks something cannot be played here");
	return ayre_confine(&options, ret_posture, error);
}

/* What the tier's policy says of itself, or why it cannot be had. */
struct answer {
	int result;
	struct ayre_posture posture;
	struct ayre_error error;
};

static int ask(enum escape_tier tier, uint32_t without, struct ayre_posture *ret_posture,
               struct ayre_error *error)
{
	struct answer answer = {.posture = {.size = sizeof(answer.posture)}};
	int fds[2], status = 0, result = ayrei_pipe_open(fds);
	ssize_t length;
	pid_t child;

	if (result < 0)
		return ayrei_fail(error, result, "pipe", "process", NULL);
	child = fork();
	if (child == 0) {
		answer.result = confine(tier, without, &fds[1], 1, &answer.posture, &answer.error);
		ayrei_child_exit_telling(fds[1], &answer, sizeof(answer));
	}
	result = child == -1 ? -errno : 0;
	close(fds[1]);
	length = ayrei_file_read(fds[0], &answer, sizeof(answer));
	close(fds[0]);
	if (result < 0)
		return ayrei_fail(error, result, "fork", "process", NULL);
	waitpid(child, &status, 0);
	if (length != sizeof(answer))
		return ayrei_fail(error, -EPIPE, "confine", "process",
		                  "its process ended of signal %d before it could tell: 'ayre "
		                  "worker posture' says at which layer",
		                  WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	if (answer.result < 0 && error)
		*error = answer.error;
	*ret_posture = answer.posture;
	return answer.result;
}

int escape_try_refusal(enum escape_tier tier, struct ayre_error *error)
{
	uint32_t missing = escape_tier_without(tier);
	struct ayre_posture posture;
	int result = ask(tier, AYRE_LAYERS_MANDATORY & ~missing, &posture, error);

	if (result >= 0)
		return ayrei_fail(error, -EPROTO, "confine", escape_tier_name(tier),
		                  "it is not refused");
	if (strcmp(error->step, "confine") != 0 || !ayre_layer_name(missing) ||
	    strcmp(error->object, ayre_layer_name(missing)) != 0)
		return result;
	return 0;
}

static void __attribute__((noreturn))
attempt(const struct escape_run *run, const struct escape_attempt *row,
        const struct escape_bait *bait)
{
	const int keep[] = {bait->control, bait->memory, bait->read_only};
	const struct rlimit no_core = {0, 0};
	sigset_t none;
	long result;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (run->tier != ESCAPE_UNCONFINED && confine(run->tier, escape_tier_without(run->tier),
	                                              keep, ESCAPE_COUNT_OF(keep), NULL, NULL) < 0)
		_exit(CODE_BROKEN);
	result = row->run(bait);
	_exit(result >= 0 ? 0 : (int)-result);
}

/* 1 if it ended in time. */
static int wait_for_end(pid_t child)
{
	struct pollfd entry = {.fd = ayrei_child_open(child), .events = POLLIN};
	int result = entry.fd < 0 ? 0 : poll(&entry, 1, DEADLINE_MS);

	if (entry.fd >= 0)
		close(entry.fd);
	if (result != 1)
		kill(child, SIGKILL);
	return result == 1;
}

static void judge(struct escape_result *result, int status, bool in_time)
{
	result->detail = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
	if (!in_time)
		result->end = ESCAPE_GOT_OUT;
	else if (WIFSIGNALED(status))
		result->end = ESCAPE_KILLED;
	else if (result->detail == CODE_BROKEN)
		result->end = ESCAPE_BROKEN;
	else
		result->end = result->detail == 0 ? ESCAPE_GOT_OUT : ESCAPE_HELD;
}

static int run_one(struct escape_run *run, const struct escape_group *group,
                   const struct escape_attempt *row, struct escape_bait *bait)
{
	struct escape_result result = {row->name, group->name, row->alone, ESCAPE_BROKEN, EAGAIN};
	int status = 0;
	bool in_time;
	pid_t child;

	child = escape_bait_renew(bait) < 0 ? -1 : fork();
	if (child == 0)
		attempt(run, row, bait);
	if (child > 0) {
		in_time = wait_for_end(child);
		while (waitpid(child, &status, 0) == -1 && errno == EINTR)
			;
		judge(&result, status, in_time);
	}
	return run->visit(&result, run->context);
}

bool escape_has_attempt(const char *name)
{
	const struct escape_attempt *row;
	const struct escape_group *group;

	for (size_t i = 0; (row = escape_attempt_at(i, &group)); i++)
		if (strcmp(row->name, name) == 0)
			return true;
	return false;
}

/* Somebody wants this process to end, which is not to leave the bait behind. */
static bool is_asked_to_end(const sigset_t *asked)
{
	sigset_t pending;

	sigemptyset(&pending);
	sigpending(&pending);
	for (int number = 1; number < NSIG; number++)
		if (sigismember(asked, number) == 1 && sigismember(&pending, number) == 1)
			return true;
	return false;
}

static int run_all(struct escape_run *run, struct escape_bait *bait, const sigset_t *asked)
{
	int result = 0;
	const struct escape_attempt *row;
	const struct escape_group *group;

	for (size_t i = 0; (row = escape_attempt_at(i, &group)); i++) {
		if (run->only && strcmp(run->only, row->name) != 0)
			continue;
		result = is_asked_to_end(asked) ? -EINTR : run_one(run, group, row, bait);
		if (result != 0)
			break;
	}
	return result;
}

int escape_run(struct escape_run *run, struct ayre_error *error)
{
	struct escape_bait bait;
	sigset_t asked, before;
	int result = 0;

	run->posture = (struct ayre_posture){.size = sizeof(run->posture)};
	if (run->tier != ESCAPE_UNCONFINED)
		result = ask(run->tier, escape_tier_without(run->tier), &run->posture, error);
	if (result < 0)
		return result;
	sigemptyset(&asked);
	sigaddset(&asked, SIGHUP);
	sigaddset(&asked, SIGINT);
	sigaddset(&asked, SIGTERM);
	sigprocmask(SIG_BLOCK, &asked, &before);
	result = escape_bait_set(&bait, error);
	if (result == 0) {
		result = run_all(run, &bait, &asked);
		escape_bait_remove(&bait);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return result;
}
