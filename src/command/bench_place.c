/*
 * Invariant: the directory is removed however this process ends. A keeper waits at a pipe for its
 * end, which even SIGKILL brings about, and removes what is there.
 */
#include "command/bench_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ayre.h>

#include "command/command.h"
#include "command/output.h"

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *position)
{
	(void)status;
	(void)flag;
	(void)position;
	(void)remove(path);
	return 0;
}

/* A durable topic has a half elsewhere as well. What is no topic is left alone. */
static void remove_topics(const char *directory)
{
	const struct dirent *entry;
	char path[PATH_MAX];
	DIR *stream = opendir(directory);

	while (stream && (entry = readdir(stream)))
		if (entry->d_name[0] != '.' && snprintf(path, sizeof(path), "%s/%s", directory,
		                                        entry->d_name) < (int)sizeof(path))
			(void)!ayre_topic_remove(path, true, NULL);
	if (stream)
		closedir(stream);
}

void bench_place_remove_tree(const char *directory)
{
	remove_topics(directory);
	(void)nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static __attribute__((noreturn)) void keep(const char *directory, int watched)
{
	sigset_t all;
	char byte;

	/* Signals are for the whole group of processes; this one goes last. */
	(void)setsid();
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	while (read(watched, &byte, sizeof(byte)) < 0)
		;
	bench_place_remove_tree(directory);
	_exit(0);
}

static int start_keeper(struct bench_place *place)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) == -1)
		return -errno;
	place->keeper = fork();
	if (place->keeper == 0) {
		close(ends[1]);
		keep(place->directory, ends[0]);
	}
	close(ends[0]);
	place->held = ends[1];
	return place->keeper < 0 ? -errno : 0;
}

const char *bench_place_for_topics(void)
{
	const char *given = getenv("AYRE_DIR");

	return given && given[0] ? given : "/dev/shm";
}

int bench_place_open(const char *parent, struct bench_place *ret_place)
{
	struct bench_place place;
	int code;

	if (snprintf(place.directory, sizeof(place.directory), "%s/.ayre-bench-XXXXXX", parent) >=
	    (int)sizeof(place.directory))
		return output_fail("%s: %s", parent, strerror(ENAMETOOLONG));
	if (!mkdtemp(place.directory))
		return output_fail("%s: %s", place.directory, strerror(errno));
	code = start_keeper(&place);
	if (code < 0) {
		bench_place_remove_tree(place.directory);
		return output_fail("%s: %s", place.directory, strerror(-code));
	}
	*ret_place = place;
	return EXIT_DONE;
}

void bench_place_close(const struct bench_place *place)
{
	close(place->held);
	waitpid(place->keeper, NULL, 0);
}
