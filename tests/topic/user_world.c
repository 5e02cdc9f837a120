/*
 * Becoming other users. Each step is a child's, which never goes back.
 */
#include "topic/user_world.h"

#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

const char *shared_path(void)
{
	static char text[NAME_BYTES];

	return topic_path("shared/topic", "", text);
}

static void open_folder(void)
{
	char folder[NAME_BYTES];

	require(mkdir(topic_path("shared", "", folder), 01777) == 0);
	require(chmod(folder, 01777) == 0);
}

void close_folder(void)
{
	char folder[NAME_BYTES];

	require(ayre_topic_remove(shared_path(), false, NULL) == 0);
	require(rmdir(topic_path("shared", "", folder)) == 0);
}

/* A step of another user's, who ends with it. */
struct step {
	uid_t user;
	int (*run)(void *context);
	void *context;
};

static int run_step(void *context)
{
	const struct step *step = context;
	gid_t group = GROUP;

	require(setgroups(step->user == MEMBER ? 1 : 0, &group) == 0);
	require(setresgid(step->user == OWNER ? GROUP : step->user,
	                  step->user == OWNER ? GROUP : step->user, -1) == 0);
	require(setresuid(step->user, step->user, step->user) == 0);
	/* Who becomes another user is asked anew. */
	require(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	return step->run(step->context);
}

void as(uid_t user, int (*run)(void *context), void *context)
{
	struct step step = {user, run, context};

	require(run_in_child(run_step, &step) == 0);
}

pid_t start_as(uid_t user, int (*run)(void *context), void *context)
{
	/* Copied by fork, before this returns. */
	struct step step = {user, run, context};

	return start_child(run_step, &step);
}

static int make_topic(void *context)
{
	uint32_t mode = *(uint32_t *)context;

	umask(0077);
	require(ayre_topic_create(TOPIC(.mode = mode, .ring_bytes = 4096), shared_path(), NULL) ==
	        1);
	return 0;
}

void make_topic_of(uint32_t mode)
{
	open_folder();
	as(OWNER, make_topic, &mode);
}
