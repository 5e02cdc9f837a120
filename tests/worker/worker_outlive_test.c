/*
 * Constructors that make processes which are to outlive their zygote, their host, or both: nothing of them is left.
 *
 * They are found as copies of the zygote are, by the module's path among their arguments.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

#include "escape/tier.h"
#include "worker/module_world.h"

#define PATIENCE_NS (20000 * MILLISECOND_NS)
#define FOUND_MAX   1024

struct scene {
	const char *module;
	enum escape_tier tier;
};

struct found {
	pid_t pids[FOUND_MAX];
	int count;
};

/* Of a process that has ended nothing is there to be read. */
static bool has_argument(const char *pid, const char *argument)
{
	char path[300], text[1024];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, text, sizeof(text));
	close(fd);
	return length > 0 && memmem(text, (size_t)length, argument, strlen(argument));
}

static void find(const char *module, struct found *found)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	char path[512];

	module_path(module, path);
	found->count = 0;
	require(directory);
	while ((entry = readdir(directory)))
		if (atoi(entry->d_name) > 0 && found->count < FOUND_MAX &&
		    has_argument(entry->d_name, path))
			found->pids[found->count++] = atoi(entry->d_name);
	closedir(directory);
}

static int count_of(const char *module)
{
	struct found found;

	find(module, &found);
	return found.count;
}

static void await_end_of(pid_t pid)
{
	int64_t end_ns = now_ns() + PATIENCE_NS;
	char path[64], line[256];
	FILE *file;
	bool ended = false;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	while (!ended) {
		require(now_ns() < end_ns);
		file = fopen(path, "re");
		ended = !file || !fgets(line, sizeof(line), file) || strstr(line, ") Z");
		if (file)
			fclose(file);
		usleep(5000);
	}
}

/* All are gone, and do not come back. */
static void await_none(const char *module)
{
	int64_t end_ns = now_ns() + PATIENCE_NS;

	for (int times = 0; times < 3; times++)
		while (count_of(module) > 0) {
			require(now_ns() < end_ns);
			usleep(5000);
			times = 0;
		}
}

/* Keeper, zygote, and those that it made: as many as there will be. */
static int await_several(const char *module)
{
	int64_t end_ns = now_ns() + PATIENCE_NS;
	int now = 0, before;

	do {
		require(now_ns() < end_ns);
		before = now;
		usleep(20000);
		now = count_of(module);
	} while (now < 3 || now != before);
	return now;
}

/* The host: it never comes back from opening. */
static int open_for_ever(void *context)
{
	const struct scene *scene = context;
	struct ayre_worker *worker;
	char path[512];

	require(escape_tier_enter(scene->tier) == 0);
	(void)!ayre_worker_open(WORKER(.load_timeout_ns = AYRE_NO_DEADLINE),
	                        module_path(scene->module, path), &worker, NULL);
	return 1;
}

static pid_t start_host(const struct scene *scene)
{
	pid_t host = fork();

	require(host >= 0);
	if (host == 0)
		_exit(open_for_ever((void *)(uintptr_t)scene));
	return host;
}

static void kill_host(pid_t host)
{
	require(kill(host, SIGKILL) == 0);
	require(waitpid(host, NULL, 0) == host);
}

/* 1: it is number 1 in a process namespace. */
static int number_inside(pid_t pid)
{
	char path[64], line[256];
	int outside = 0, inside = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	require(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "NSpid: %d %d", &outside, &inside) > 0)
			break;
	fclose(file);
	return inside;
}

/* --- the host is killed --- */

static int kill_while_it_loads(void *context)
{
	const struct scene *scene = context;
	pid_t host = start_host(scene);
	int there = await_several(scene->module);

	/* The user's processes in a namespace are counted, but for root's. */
	if (number_inside(zygote_of(host)) == 1 && geteuid() != 0)
		require(there <= 1 + 1 + 136);
	if (scene->tier == ESCAPE_NO_NAMESPACES)
		require(number_inside(zygote_of(host)) == 0);
	kill_host(host);
	await_none(scene->module);
	return 0;
}

static const char *const modules[] = {"module_detach", "module_multiply", "module_flee"};
static const enum escape_tier worlds[] = {ESCAPE_FULL, ESCAPE_NO_NAMESPACES};

static void in_each_world(int (*run)(void *context))
{
	for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++)
		for (size_t j = 0; j < sizeof(worlds) / sizeof(*worlds); j++) {
			struct scene scene = {modules[i], worlds[j]};

			for_each_user(run, &scene);
		}
}

static void nothing_outlives_the_host(void **state)
{
	(void)state;
	in_each_world(kill_while_it_loads);
}

/* --- it takes too long --- */

static int lose_patience(void *context)
{
	const struct scene *scene = context;
	struct ayre_worker *worker;
	char path[512];

	require(escape_tier_enter(scene->tier) == 0);
	require(ayre_worker_open(WORKER(.load_timeout_ns = 300 * MILLISECOND_NS),
	                         module_path(scene->module, path), &worker, NULL) == -ETIMEDOUT);
	await_none(scene->module);
	require(waitpid(-1, NULL, 0) == -1);
	return 0;
}

static void nothing_outlives_the_attempt(void **state)
{
	(void)state;
	in_each_world(lose_patience);
}

/* --- the keeper is killed, by somebody else --- */

static int kill_keeper(void *context)
{
	const struct scene *scene = context;
	pid_t host = start_host(scene), zygote;
	struct found left;
	bool is_apart;

	(void)await_several(scene->module);
	zygote = zygote_of(host);
	is_apart = number_inside(zygote) == 1;
	require(kill(first_child_of(host), SIGKILL) == 0);
	/* Opening has failed. */
	require(waitpid(host, NULL, 0) == host);
	await_end_of(zygote);
	/* Without a namespace what it made is left, as the manual says. */
	find(scene->module, &left);
	for (int i = 0; !is_apart && i < left.count; i++)
		kill(left.pids[i], SIGKILL);
	await_none(scene->module);
	return 0;
}

static void the_zygote_does_not_outlive_its_keeper(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(worlds) / sizeof(*worlds); i++)
		for_each_user(kill_keeper, &(struct scene){"module_detach", worlds[i]});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(nothing_outlives_the_host),
		counted_test(nothing_outlives_the_attempt),
		counted_test(the_zygote_does_not_outlive_its_keeper),
	};

	return run_counted("worker_outlive", tests);
}
