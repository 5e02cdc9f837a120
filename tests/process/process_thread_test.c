/*
 * Starts from many threads at once, in a host where others open and close descriptors and fork:
 * no child gets a descriptor that is not its own, and all are told how they ended.
 */
#include "process/probe.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <signal.h>

#define STARTERS 8
#define STARTS   (long_form() ? 3000 : 300)

static atomic_bool going;

/* Close-on-exec or not, for as short a time as can be. */
static void *open_and_close(void *argument)
{
	(void)argument;
	while (going) {
		int fds[2];

		if (pipe2(fds, 0) == 0) {
			close(fds[0]);
			close(fds[1]);
		}
		close(open("/dev/null", O_RDONLY));
	}
	return NULL;
}

static void *fork_and_wait(void *argument)
{
	(void)argument;
	while (going) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		require(pid > 0);
		require(waitpid(pid, NULL, 0) == pid);
		usleep(2000);
	}
	return NULL;
}

/* Both ends of a pipe in each child would keep it open for ever: nobody has but the one. */
static void list_descriptors(void)
{
	int ends[2], length = 0;
	struct ayre_process *process;
	struct ayre_process_end end = {.size = sizeof(end)};
	struct ayre_wire wire;
	char text[64];
	ssize_t got;

	require(pipe2(ends, O_CLOEXEC) == 0);
	wire = (struct ayre_wire){1, ends[1]};
	process = begin(PROCESS_OPTIONS(.wires = &wire, .wire_count = 1),
	                ARGUMENTS("/bin/ls", "/proc/self/fd"));
	close(ends[1]);
	while ((got = read(ends[0], text + length, sizeof(text) - 1 - (size_t)length)) > 0)
		length += (int)got;
	require(got == 0);
	text[length] = '\0';
	close(ends[0]);
	require(ayre_process_wait(process, &end) == 0);
	require(end.outcome == AYRE_OUTCOME_EXITED && end.status == 0);
	ayre_process_close(process);
	/* 3 is the directory that it reads. */
	if (strcmp(text, "0\n1\n2\n3\n") != 0)
		dprintf(STDERR_FILENO, "%s", text);
	require(strcmp(text, "0\n1\n2\n3\n") == 0);
}

static void *start_many(void *argument)
{
	(void)argument;
	for (int i = 0; i < STARTS; i++) {
		if (i % 3 == 0)
			fails(PROCESS_OPTIONS(.program = "/bin/true",
			                      .limits = &(struct ayre_limit){99, 1, 1},
			                      .limit_count = 1),
			      ARGUMENTS("true"), "limit", -EINVAL);
		list_descriptors();
	}
	return NULL;
}

CHILD_TEST(threads_start_without_leaking)
{
	pthread_t starters[STARTERS], disturbers[3];

	limit_time(50);
	going = true;
	require(pthread_create(&disturbers[0], NULL, open_and_close, NULL) == 0);
	require(pthread_create(&disturbers[1], NULL, open_and_close, NULL) == 0);
	require(pthread_create(&disturbers[2], NULL, fork_and_wait, NULL) == 0);
	for (int i = 0; i < STARTERS; i++)
		require(pthread_create(&starters[i], NULL, start_many, NULL) == 0);
	for (int i = 0; i < STARTERS; i++)
		pthread_join(starters[i], NULL);
	going = false;
	for (int i = 0; i < 3; i++)
		pthread_join(disturbers[i], NULL);
	return 0;
}

static void *wait_for_it(void *argument)
{
	require(ayre_process_wait(argument, NULL) == 0);
	return NULL;
}

/* One thread waits, another ends it. */
CHILD_TEST(a_process_is_signalled_while_a_thread_waits)
{
	for (int i = 0; i < 50; i++) {
		struct ayre_process *process =
			begin(PROCESS_OPTIONS(.flags = AYRE_PROCESS_NEW_GROUP),
		              ARGUMENTS("sleep", "100"));
		pthread_t waiter;
		int result;

		require(pthread_create(&waiter, NULL, wait_for_it, process) == 0);
		result = i % 2 ? ayre_process_signal(process, SIGTERM)
		               : ayre_process_signal_group(process, SIGTERM);
		require(result == 0);
		/* Until it has ended, and then -ESRCH, whatever the other thread does. */
		while (ayre_process_signal(process, 0) == 0)
			usleep(100);
		pthread_join(waiter, NULL);
		ayre_process_close(process);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		counted_test(threads_start_without_leaking),
		counted_test(a_process_is_signalled_while_a_thread_waits),
	};

	become_probe(argc, argv);
	return run_counted("process_thread", tests);
}
