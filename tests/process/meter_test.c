/*
 * The meter: whom it names, what it tells, and that nobody notices it.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "process/meter_world.h"
#include "support/fault.h"
#include "support/support.h"
#include "sys/activity.h"

#define TRIES 3

/* Another program may have had the processors for that second. */
static void assert_named(const struct plan *plan, int expected)
{
	int found = -2;

	if (!plan_is_possible(plan))
		skip_because("no disk that can be read past the page cache");
	for (int try = 0; try < TRIES && found != expected; try++)
		found = judge_plan(plan, 20, 700);
	assert_int_equal(found, expected);
}

static void test_burning_stage_is_named(void **state)
{
	(void)state;
	for (int slow = 0; slow < 3; slow++)
		assert_named(&(struct plan){.stages = 3,
		                            .slow = slow,
		                            .work = WORK_BURN,
		                            .work_us = 2000,
		                            .block_bytes = 65536},
		             slow);
}

static void test_sleeping_stage_is_named(void **state)
{
	(void)state;
	for (int slow = 0; slow < 4; slow += 3)
		assert_named(&(struct plan){.stages = 4,
		                            .slow = slow,
		                            .work = WORK_SLEEP,
		                            .work_us = 3000,
		                            .block_bytes = 4096},
		             slow);
}

static void test_stage_on_disk_is_named(void **state)
{
	(void)state;
	assert_named(&(struct plan){.stages = 3,
	                            .slow = 1,
	                            .work = WORK_READ,
	                            .work_us = 2000,
	                            .block_bytes = 65536},
	             1);
}

static void test_stopped_stage_is_named(void **state)
{
	(void)state;
	assert_named(&(struct plan){.stages = 3, .slow = 1, .work = WORK_STOP, .block_bytes = 4096},
	             1);
}

/* Its first thread waits for another, so that all it tells is that it waits for a lock. */
static void test_thread_is_named(void **state)
{
	(void)state;
	assert_named(&(struct plan){.stages = 3,
	                            .slow = 1,
	                            .work = WORK_BURN,
	                            .work_us = 2000,
	                            .block_bytes = 65536,
	                            .threads = true},
	             1);
}

static void test_equals_name_nobody(void **state)
{
	(void)state;
	assert_named(&(struct plan){.stages = 3,
	                            .slow = -1,
	                            .work = WORK_SLEEP,
	                            .work_us = 5000,
	                            .block_bytes = 4096},
	             -1);
}

static void test_single_stage_is_nobody(void **state)
{
	(void)state;
	assert_named(&(struct plan){.stages = 1,
	                            .slow = -1,
	                            .work = WORK_SLEEP,
	                            .work_us = 5000,
	                            .block_bytes = 4096},
	             -1);
}

/* Commands as exec takes them. */
#define COMMAND(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SHELL(line)  COMMAND("sh", "-c", line)

static void test_programs_are_named(void **state)
{
	(void)state;
	assert_named(&(struct plan){.stages = 3,
	                            .slow = 1,
	                            .commands = {COMMAND("yes"), COMMAND("gzip", "-6"),
	                                         COMMAND("wc", "-c")}},
	             1);
	assert_named(&(struct plan){.stages = 3,
	                            .slow = 2,
	                            .commands = {COMMAND("yes"), COMMAND("cat"),
	                                         SHELL("while read l; do sleep .05; done")}},
	             2);
}

static void test_idle_source_is_named(void **state)
{
	(void)state;
	assert_named(&(struct plan){.stages = 3,
	                            .slow = 0,
	                            .commands = {COMMAND("sleep", "60"), COMMAND("cat"),
	                                         COMMAND("wc", "-c")}},
	             0);
}

/* A shell that waits for a child: what the child waits for is what counts. */
static void test_shell_speaks_for_child(void **state)
{
	const struct plan plan = {.stages = 3,
	                          .slow = 0,
	                          .commands = {SHELL("while :; do echo x; sleep .05; done"),
	                                       SHELL("cat; true"), SHELL("cat | wc -c; true")}};
	struct ayre_stage_shares shares;
	struct world world;

	(void)state;
	begin_world(&world, &plan);
	watch_world(&world, 20, 800);
	for (size_t i = 1; i < 3; i++) {
		ayrei_meter_shares(world.meter, i, false, &shares);
		assert_true(shares.input > 700);
	}
	ayrei_meter_shares(world.meter, 0, false, &shares);
	assert_int_equal(shares.input + shares.output, 0);
	assert_int_equal(ayrei_meter_bottleneck(world.meter, true), 0);
	end_world(&world);
}

/* Samples of a millisecond and of half a second: what is recent is a second all the same. */
static void test_recent_forgets(void **state)
{
	const struct plan plan = {
		.stages = 2, .slow = 0, .work = WORK_SLEEP, .work_us = 1000, .block_bytes = 4096};
	struct ayre_stage_shares recent, total;
	struct world world;

	(void)state;
	begin_world(&world, &plan);
	watch_world(&world, 500, 600);
	ayrei_meter_shares(world.meter, 1, true, &recent);
	assert_true(recent.input > 600);
	kill(world.stages[1].pid, SIGSTOP);
	watch_world(&world, 2, 1600);
	ayrei_meter_shares(world.meter, 1, true, &recent);
	ayrei_meter_shares(world.meter, 1, false, &total);
	assert_true(recent.other > 900);
	assert_true(total.input > 150 && total.input < 600);
	assert_int_equal(ayrei_meter_state(world.meter, 1), 'T');
	assert_int_equal(total.running + total.input + total.output + total.other, 1000);
	end_world(&world);
}

static void test_figures(void **state)
{
	const struct plan plan = {
		.stages = 2, .slow = 1, .work = WORK_SLEEP, .work_us = 20000, .block_bytes = 4096};
	struct ayre_stage_shares shares;
	struct world world;
	int64_t written;

	(void)state;
	begin_world(&world, &plan);
	ayrei_meter_shares(world.meter, 0, false, &shares);
	assert_int_equal(shares.running + shares.input + shares.output + shares.other, 0);
	assert_int_equal(ayrei_meter_state(world.meter, 0), 0);
	assert_int_equal(ayrei_meter_fill(world.meter, 0), -1);
	assert_true(ayrei_meter_mean_fill(world.meter, 0) < 0);
	assert_int_equal(ayrei_meter_read_bytes(world.meter, 0), -1);
	assert_int_equal(ayrei_meter_bottleneck(world.meter, false), -1);
	watch_world(&world, 20, 500);
	assert_true(ayrei_meter_fill(world.meter, 0) > (200 << 10));
	assert_true(ayrei_meter_mean_fill(world.meter, 0) > 0.5);
	assert_true(ayrei_meter_mean_fill(world.meter, 0) <= 1);
	written = ayrei_meter_written_bytes(world.meter, 0);
	assert_true(written > (256 << 10) && written < (1 << 20));
	assert_true(ayrei_meter_read_bytes(world.meter, 1) <= written);
	assert_true(ayrei_meter_read_bytes(world.meter, 1) >= 10 * 4096);
	end_world(&world);
}

/* One is killed and nobody has told the meter; one has been waited for, and its number is free. */
static void test_stages_vanish(void **state)
{
	const struct plan plan = {
		.stages = 4, .slow = 0, .work = WORK_SLEEP, .work_us = 1000, .block_bytes = 4096};
	struct world world;

	(void)state;
	begin_world(&world, &plan);
	watch_world(&world, 100, 100);
	kill(world.stages[3].pid, SIGKILL);
	kill(world.stages[1].pid, SIGKILL);
	end_of(world.stages[1].pid);
	watch_world(&world, 100, 100);
	assert_int_equal(ayrei_meter_state(world.meter, 3), 'Z');
	assert_int_equal(ayrei_meter_state(world.meter, 1), 'Z');
	assert_true(ayrei_meter_read_bytes(world.meter, 3) > 0);
	world.stages[1].ended = true;
	watch_world(&world, 100, 100);
	end_world(&world);
}

static int watch_as_nobody(void *context)
{
	const struct plan plan = {
		.stages = 2, .slow = 1, .work = WORK_SLEEP, .work_us = 20000, .block_bytes = 4096};
	struct ayre_stage_shares shares;
	struct world world;
	int64_t bytes, fill;
	char letter;

	(void)context;
	begin_world(&world, &plan);
	require(setresuid(65534, 65534, 0) == 0);
	watch_world(&world, 20, 300);
	letter = ayrei_meter_state(world.meter, 0);
	bytes = ayrei_meter_read_bytes(world.meter, 0);
	fill = ayrei_meter_fill(world.meter, 0);
	ayrei_meter_shares(world.meter, 0, false, &shares);
	/* Before anything is required: a nobody cannot end what root began. */
	require(setresuid(0, 0, 0) == 0);
	end_world(&world);
	/* It sleeps, but for the moments in which it is woken, has yet to get a processor, or runs. */
	require(letter == 'S' || letter == 'R');
	require(bytes == -1);
	require(fill == -1);
	require(shares.other > 800);
	return 0;
}

static void test_hidden_stage(void **state)
{
	(void)state;
	if (!is_root())
		skip_because(
			"takes root, who alone can have a stage that others may not look into");
	assert_exited(run_in_child(watch_as_nobody, NULL));
}

static void test_descriptors_close_on_exec(void **state)
{
	const struct plan plan = {
		.stages = 3, .slow = 0, .work = WORK_SLEEP, .work_us = 1000, .block_bytes = 4096};
	struct counts before = take_counts();
	struct world world;
	int kept;

	(void)state;
	begin_world(&world, &plan);
	watch_world(&world, 100, 50);
	kept = take_counts().descriptors - before.descriptors;
	assert_in_range(kept, 3, 15);
	for (int fd = 3; fd < 256; fd++) {
		char path[64], target[64] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) > 0 &&
		    strncmp(target, "/proc/", 6) == 0)
			assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	for (int i = 0; i < 3; i++)
		world.stages[i].ended = true;
	ayrei_meter_sample(world.meter, world.stages, world.pipes, now_ns());
	assert_int_equal(take_counts().descriptors, before.descriptors);
	for (int i = 0; i < 3; i++)
		world.stages[i].ended = false;
	end_world(&world);
}

static void test_other_pipe_is_not_mistaken(void **state)
{
	struct ayrei_activity activity;
	struct stat status;
	uint64_t capacity = 0;
	int fds[2], others[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(pipe2(others, O_CLOEXEC), 0);
	assert_int_equal(fstat(fds[0], &status), 0);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	assert_int_equal(ayrei_activity_open(getpid(), &activity), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ayrei_activity_is_pipe(&activity, fds[i], status.st_ino), 1);
		assert_int_equal(ayrei_activity_is_pipe(&activity, others[i], status.st_ino), 0);
		assert_int_equal(
			ayrei_activity_pipe_fill(&activity, fds[i], status.st_ino, &capacity), 3);
		assert_int_equal(capacity, 65536);
		assert_int_equal(
			ayrei_activity_pipe_fill(&activity, others[i], status.st_ino, &capacity),
			-ENODEV);
	}
	assert_int_equal(ayrei_activity_is_pipe(&activity, 999, status.st_ino), -ESRCH);
	ayrei_activity_close(&activity);
	ayrei_activity_close(&activity);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		close(others[i]);
	}
}

/* --- nobody notices --- */

#define ROUND_BYTES (96 << 10)

struct ends {
	int fds[2];
	bool reader_leaves;
};

static int write_all(void *context)
{
	static char block[4096];
	const struct ends *ends = context;

	close(ends->fds[0]);
	for (int done = 0; ends->reader_leaves || done < ROUND_BYTES; done += (int)sizeof(block))
		require(write(ends->fds[1], block, sizeof(block)) == (ssize_t)sizeof(block));
	return 0;
}

static int read_all(void *context)
{
	static char block[8192];
	const struct ends *ends = context;
	ssize_t part, done = 0;

	close(ends->fds[1]);
	while ((part = read(ends->fds[0], block, sizeof(block))) > 0) {
		done += part;
		if (ends->reader_leaves && done > ROUND_BYTES / 2)
			return 0;
	}
	require(part == 0 && done == ROUND_BYTES);
	return 0;
}

/* Until it has ended, and is waited for; returns its status. */
static int end_watched(pid_t pid, const struct ayrei_activity *activities, const int *fds,
                       uint64_t inode)
{
	uint64_t capacity;
	siginfo_t info;

	do {
		for (int i = 0; i < 2; i++)
			(void)!ayrei_activity_pipe_fill(&activities[i], fds[i], inode, &capacity);
		info.si_pid = 0;
		assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	} while (!info.si_pid);
	return end_of(pid);
}

static void play_round(bool reader_leaves)
{
	struct ends ends = {.reader_leaves = reader_leaves};
	struct ayrei_activity activities[2];
	struct stat status;
	pid_t writer, reader;
	int writer_end;

	assert_int_equal(pipe2(ends.fds, O_CLOEXEC), 0);
	assert_int_equal(fstat(ends.fds[0], &status), 0);
	writer = start_child(write_all, &ends);
	reader = start_child(read_all, &ends);
	close(ends.fds[0]);
	close(ends.fds[1]);
	assert_int_equal(ayrei_activity_open(reader, &activities[0]), 0);
	assert_int_equal(ayrei_activity_open(writer, &activities[1]), 0);
	/* Whoever is left over would hang here, and the deadline would say so. */
	writer_end = end_watched(writer, activities, ends.fds, status.st_ino);
	assert_exited(end_watched(reader, activities, ends.fds, status.st_ino));
	if (reader_leaves)
		assert_killed_by(writer_end, SIGPIPE);
	else
		assert_exited(writer_end);
	for (int i = 0; i < 2; i++)
		ayrei_activity_close(&activities[i]);
}

static void test_ends_are_seen(void **state)
{
	int rounds = long_form() ? 5000 : 100;

	(void)state;
	for (int i = 0; i < rounds; i++)
		play_round(i % 2);
}

/* --- what can fail does --- */

static void test_failing_calls(void **state)
{
	const struct plan plan = {
		.stages = 2, .slow = 0, .commands = {SHELL("sleep 60; true"), COMMAND("cat")}};
	struct world world;

	(void)state;
	begin_world(&world, &plan);
	watch_world(&world, 100, 50);
	for (unsigned int variant = 0; variant < fault_variants(); variant++) {
		struct fault_report report = {.calls = 1000};

		for (unsigned int nth = 1; nth <= report.calls; nth++) {
			struct ayrei_meter *meter = NULL;

			fault_arm(nth, variant);
			if (ayrei_meter_new(2, 1, &meter) == 0)
				for (int i = 0; i < 2; i++)
					ayrei_meter_sample(meter, world.stages, world.pipes,
					                   now_ns());
			ayrei_meter_free(meter);
			report = fault_disarm();
		}
	}
	end_world(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(test_burning_stage_is_named),
		counted_test(test_sleeping_stage_is_named),
		counted_test(test_stage_on_disk_is_named),
		counted_test(test_stopped_stage_is_named),
		counted_test(test_thread_is_named),
		counted_test(test_equals_name_nobody),
		counted_test(test_single_stage_is_nobody),
		counted_test(test_programs_are_named),
		counted_test(test_idle_source_is_named),
		counted_test(test_shell_speaks_for_child),
		counted_test(test_recent_forgets),
		counted_test(test_figures),
		counted_test(test_stages_vanish),
		counted_test(test_hidden_stage),
		counted_test(test_descriptors_close_on_exec),
		counted_test(test_other_pipe_is_not_mistaken),
		counted_test(test_ends_are_seen),
		counted_test(test_failing_calls),
	};

	return run_counted("meter", tests);
}
