/*
 * Several children of one start: all of them run, or none; and nobody waits for ever for one that
 * was killed on its way.
 */
#include "process/probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

#include "sys/child.h"
#include "sys/clone.h"
#include "sys/event.h"

#define MOST 32

static struct ayrei_child children[MOST];
static struct ayrei_child_wire bad_wire[1];

/* Each says so by a byte in `out`. */
static void prepare_all(size_t count, int out)
{
	static struct ayrei_child_wire wires[MOST][3];
	static char name[] = "echo", option[] = "-n", word[] = "x";
	static char *arguments[] = {name, option, word, NULL};

	/* Where a memfd's position is, writers can overtake each other. */
	require(fcntl(out, F_SETFL, O_APPEND) == 0);
	for (size_t i = 0; i < count; i++) {
		wires[i][0] = (struct ayrei_child_wire){0, 0};
		wires[i][1] = (struct ayrei_child_wire){1, out};
		wires[i][2] = (struct ayrei_child_wire){2, 2};
		children[i] = (struct ayrei_child){
			.path = "/bin/echo",
			.arguments = arguments,
			.environment = environ,
			.directory_fd = -1,
			.wires = wires[i],
			.wire_count = 3,
			.host = getpid(),
		};
	}
}

static unsigned int end_all(size_t count)
{
	unsigned int fine = 0;

	for (size_t i = 0; i < count; i++) {
		struct ayrei_child_end end;

		require(ayrei_wait_for(children[i].pidfd, AYREI_READABLE, INT64_MAX) > 0);
		require(ayrei_child_look(children[i].pidfd, &end) == 0);
		ayrei_child_reap(children[i].pidfd);
		close(children[i].pidfd);
		fine += !end.signaled && end.status == 0;
	}
	return fine;
}

static off_t length_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

CHILD_TEST(all_children_run)
{
	int out = make_file_of_its_own();
	size_t failed;

	for (int i = 0; i < 20; i++)
		for (size_t count = 1; count <= MOST; count *= 2) {
			off_t before = length_of(out);

			prepare_all(count, out);
			children[0].flags = AYREI_CHILD_NEW_GROUP;
			for (size_t j = 1; j < count; j++)
				children[j].flags = AYREI_CHILD_JOIN_GROUP;
			require(ayrei_children_start(children, count, &failed) == 0);
			for (size_t j = 0; j < count; j++)
				require(children[j].pidfd > 2);
			require(end_all(count) == count);
			require(length_of(out) - before == (off_t)count);
		}
	close(out);
	return 0;
}

/* What fails before the gate lets none through. */
CHILD_TEST(none_runs_where_one_cannot_be_prepared)
{
	int out = make_file_of_its_own();
	size_t failed;

	for (size_t bad = 0; bad < 8; bad++) {
		prepare_all(8, out);
		bad_wire[0] = (struct ayrei_child_wire){0, 777};
		children[bad].wires = bad_wire;
		children[bad].wire_count = 1;
		require(ayrei_children_start(children, 8, &failed) == -EBADF);
		require(failed == bad && children[bad].step == AYREI_STEP_WIRE);
		for (size_t i = 0; i < 8; i++)
			require(children[i].pid == 0 && children[i].pidfd == -1);
	}
	require(length_of(out) == 0);
	require(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	close(out);
	return 0;
}

CHILD_TEST(none_is_left_where_one_cannot_be_executed)
{
	static char name[] = "sleep", seconds[] = "100";
	static char *forever[] = {name, seconds, NULL};
	int out = make_file_of_its_own();
	size_t failed;

	for (size_t bad = 0; bad < 8; bad++) {
		prepare_all(8, out);
		for (size_t i = 0; i < 8; i++) {
			children[i].path = i == bad ? "/none" : "/bin/sleep";
			children[i].arguments = forever;
		}
		require(ayrei_children_start(children, 8, &failed) == -ENOENT);
		require(failed == bad && children[bad].step == AYREI_STEP_EXECUTE);
	}
	require(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	close(out);
	return 0;
}

/* Kills whatever child of the host there is, as early as it can. */
static int kill_children(void *context)
{
	char path[64];
	pid_t host = *(pid_t *)context;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", host, host);
	for (;;) {
		char text[512];
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t length = read(fd, text, sizeof(text) - 1);
		char *rest = text;
		int pid;

		close(fd);
		text[length > 0 ? length : 0] = '\0';
		/* The first is this process itself. */
		while ((pid = (int)strtol(rest, &rest, 10)) > 0)
			if (pid != getpid() && random_below(4) == 0)
				kill(pid, SIGKILL);
	}
	return 0;
}

CHILD_TEST(a_child_killed_on_its_way_keeps_nobody_waiting)
{
	int out = make_file_of_its_own();
	pid_t host = getpid(), killer = start_child(kill_children, &host);
	unsigned int canceled = 0;

	for (int i = 0; i < (long_form() ? 20000 : 1000); i++) {
		size_t failed;
		int result;

		prepare_all(8, out);
		result = ayrei_children_start(children, 8, &failed);
		require(result == 0 || result == -ECANCELED);
		if (result == 0)
			end_all(8);
		else
			canceled++;
	}
	kill(killer, SIGKILL);
	end_of(killer);
	require(canceled > 0);
	close(out);
	return 0;
}

static int start_for_ever(void *context)
{
	int out = make_file_of_its_own();

	announce(context, 1);
	for (;;) {
		size_t failed;

		prepare_all(MOST, out);
		require(ayrei_children_start(children, MOST, &failed) == 0);
		end_all(MOST);
	}
}

CHILD_TEST(a_host_killed_on_the_way_leaves_nobody_waiting)
{
	atomic_uint *ready = share_memory(sizeof(*ready));

	/* Whom it leaves comes to us. */
	require(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	for (int i = 0; i < (long_form() ? 2000 : 100); i++) {
		pid_t host;

		*ready = 0;
		host = start_child(start_for_ever, ready);
		await(ready, 1);
		usleep(random_below(20000));
		kill(host, SIGKILL);
		end_of(host);
		while (wait(NULL) > 0)
			continue;
		require(errno == ECHILD);
	}
	unshare_memory(ready, sizeof(*ready));
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		counted_test(all_children_run),
		counted_test(none_runs_where_one_cannot_be_prepared),
		counted_test(none_is_left_where_one_cannot_be_executed),
		counted_test(a_child_killed_on_its_way_keeps_nobody_waiting),
		counted_test(a_host_killed_on_the_way_leaves_nobody_waiting),
	};

	become_probe(argc, argv);
	return run_counted("process_gate", tests);
}
