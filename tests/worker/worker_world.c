/*
 * Children that lock themselves down.
 */
#include "worker/worker_world.h"

#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "sys/privilege.h"

const int keep_error[1] = {STDERR_FILENO};

void become_ordinary(void)
{
	if (geteuid() != 0)
		return;
	require(setgroups(0, NULL) == 0);
	require(setresgid(ORDINARY, ORDINARY, ORDINARY) == 0);
	require(setresuid(ORDINARY, ORDINARY, ORDINARY) == 0);
	/* As after exec: /proc/self is the user's own again. */
	require(prctl(PR_SET_DUMPABLE, 1) == 0);
	require(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
}

struct ordinary_run {
	int (*run)(void *context);
	void *context;
};

static int run_ordinary(void *context)
{
	const struct ordinary_run *given = context;

	become_ordinary();
	return given->run(given->context);
}

void for_each_user(int (*run)(void *context), void *context)
{
	struct ordinary_run ordinary = {run, context};

	assert_int_equal(run_in_child(run, context), 0);
	if (is_root())
		assert_int_equal(run_in_child(run_ordinary, &ordinary), 0);
}

void confine_now(const struct ayre_confine_options *options, struct ayre_posture *ret_posture)
{
	struct ayre_error error;
	char text[640];

	if (ayre_confine(options, ret_posture, &error) == 0)
		return;
	dprintf(STDERR_FILENO, "%s\n", ayre_error_text(&error, text, sizeof(text)));
	_exit(1);
}

void die_at(int call, uint32_t argument)
{
	bool is_any = argument == ANY_ARGUMENT;
	/* On both machines the lower half comes first. */
	const struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument, 1, is_any ? 1 : 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};

	require(ayrei_privileges_no_new() == 0);
	require(ayrei_filter_load(steps, sizeof(steps) / sizeof(*steps)) == 0);
}

unsigned long long status_field(pid_t pid, const char *field, int base)
{
	char path[64], line[256];
	unsigned long long value = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (!found && fgets(line, sizeof(line), file)) {
		found = strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':';
		if (found)
			value = strtoull(line + strlen(field) + 1, NULL, base);
	}
	fclose(file);
	assert_true(found);
	return value;
}
