/*
 * Pipelines of children whose work is known.
 *
 * Invariant: a stage has no end of a pipe but its own two, so that each sees the end of its stream.
 */
#include "process/meter_world.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "support/support.h"

#define PIPE_BYTES (256 << 10)
#define FILE_BYTES (8 << 20)
#define DISK_BYTES 4096
#define MOST_BLOCK (128 << 10)

struct wires {
	const struct plan *plan;
	int stage;
	int (*pipes)[2];
	int file; /* for what is done to a disk */
};

static int open_file(void)
{
	/* Not in test_directory(), which may be in memory. */
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);

	if (fd >= 0 && posix_fallocate(fd, 0, FILE_BYTES) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool needs_file(const struct plan *plan)
{
	return plan->work == WORK_READ || plan->work == WORK_SYNC;
}

static void *aligned_block(void)
{
	static char memory[2 * DISK_BYTES];

	return memory + DISK_BYTES - (uintptr_t)memory % DISK_BYTES;
}

static bool read_disk(int file)
{
	off_t offset = (off_t)random_below(FILE_BYTES / DISK_BYTES) * DISK_BYTES;

	return pread(file, aligned_block(), DISK_BYTES, offset) == DISK_BYTES;
}

static bool sync_disk(int file)
{
	return pwrite(file, aligned_block(), DISK_BYTES, 0) == DISK_BYTES && fdatasync(file) == 0;
}

bool plan_is_possible(const struct plan *plan)
{
	int file = needs_file(plan) ? open_file() : 0;
	bool possible = file == 0 || (file > 0 && read_disk(file) && sync_disk(file));

	if (file > 0)
		close(file);
	return possible;
}

static int64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void burn(unsigned int microseconds)
{
	int64_t end = cpu_ns() + microseconds * 1000ll;

	while (cpu_ns() < end)
		for (volatile int i = 0; i < 300; i++)
			continue;
}

static void sleep_us(unsigned int microseconds)
{
	struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};

	nanosleep(&time, NULL);
}

/* As long as that takes: one disk is a thousand times faster than another. */
static void use_disk(const struct plan *plan, int file)
{
	int64_t end = now_ns() + plan->work_us * 1000ll;

	do
		require(plan->work == WORK_READ ? read_disk(file) : sync_disk(file));
	while (now_ns() < end);
}

static void work_on(const struct wires *wires)
{
	const struct plan *plan = wires->plan;

	if (plan->slow != -1 && plan->slow != wires->stage)
		return;
	switch (plan->work) {
	case WORK_NONE:
		break;
	case WORK_BURN:
		burn(plan->work_us);
		break;
	case WORK_SLEEP:
		sleep_us(plan->work_us);
		break;
	case WORK_READ:
	case WORK_SYNC:
		use_disk(plan, wires->file);
		break;
	case WORK_STOP:
		raise(SIGSTOP);
		break;
	}
}

/* False at the end. */
static bool move(ssize_t (*call)(int fd, void *block, size_t length), int fd, char *block,
                 size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t part = call(fd, block + done, length - done);

		if (part <= 0)
			return false;
		done += (size_t)part;
	}
	return true;
}

static ssize_t write_block(int fd, void *block, size_t length)
{
	return write(fd, block, length);
}

static int copy_blocks(const struct wires *wires)
{
	static char block[MOST_BLOCK];
	size_t length = wires->plan->block_bytes;
	bool first = wires->stage == 0, last = wires->stage == wires->plan->stages - 1;

	for (;;) {
		if (!first && !move(read, 0, block, length))
			return 0;
		work_on(wires);
		if (!last && !move(write_block, 1, block, length))
			return 0;
	}
}

static void *copy_in_thread(void *context)
{
	return (void *)(intptr_t)copy_blocks(context);
}

static int copy_behind_thread(struct wires *wires)
{
	pthread_t thread;

	require(pthread_create(&thread, NULL, copy_in_thread, wires) == 0);
	pthread_join(thread, NULL);
	return 0;
}

static int run_stage(void *context)
{
	struct wires *wires = context;
	const struct plan *plan = wires->plan;
	const char *const *command = plan->commands[wires->stage];
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* So that what a shell has started ends with it. */
	setpgid(0, 0);
	dup2(wires->stage > 0 ? wires->pipes[wires->stage - 1][0] : nothing, 0);
	dup2(wires->stage < plan->stages - 1 ? wires->pipes[wires->stage][1] : nothing, 1);
	for (int i = 0; i < plan->stages - 1; i++) {
		close(wires->pipes[i][0]);
		close(wires->pipes[i][1]);
	}
	random_seed((uint32_t)getpid());
	if (!command)
		return plan->threads && plan->slow == wires->stage ? copy_behind_thread(wires)
		                                                   : copy_blocks(wires);
	execvp(command[0], (char *const *)(uintptr_t)command);
	return 127;
}

void begin_world(struct world *world, const struct plan *plan)
{
	int pipes[MOST_STAGES - 1][2];
	int pipe_count = plan->stages - 1, file = needs_file(plan) ? open_file() : -1;

	memset(world, 0, sizeof(*world));
	world->plan = plan;
	assert_int_equal(ayrei_meter_new((size_t)plan->stages, (size_t)pipe_count, &world->meter),
	                 0);
	for (int i = 0; i < pipe_count; i++) {
		struct stat status;

		assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
		(void)!fcntl(pipes[i][0], F_SETPIPE_SZ, PIPE_BYTES);
		assert_int_equal(fstat(pipes[i][0], &status), 0);
		world->pipes[i].inode = status.st_ino;
		world->pipes[i].capacity_bytes = (uint64_t)fcntl(pipes[i][0], F_GETPIPE_SZ);
	}
	for (int i = 0; i < plan->stages; i++) {
		struct wires wires = {plan, i, pipes, file};

		world->stages[i].input_pipe = i - 1;
		world->stages[i].output_pipe = i < pipe_count ? i : -1;
		world->stages[i].pid = start_child(run_stage, &wires);
		setpgid(world->stages[i].pid, world->stages[i].pid);
	}
	for (int i = 0; i < pipe_count; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	if (file >= 0)
		close(file);
}

void watch_world(struct world *world, unsigned int hertz, unsigned int milliseconds)
{
	int64_t end = now_ns() + milliseconds * 1000000ll;

	for (unsigned int pause_us = 1000; now_ns() < end; pause_us = 1000000 / hertz) {
		sleep_us(pause_us);
		ayrei_meter_sample(world->meter, world->stages, world->pipes, now_ns());
	}
}

/* Backwards and forcibly: one may be stopped. */
void end_world(struct world *world)
{
	for (int i = 0; i < world->plan->stages; i++)
		if (!world->stages[i].ended) {
			kill(-world->stages[i].pid, SIGKILL);
			end_of(world->stages[i].pid);
		}
	ayrei_meter_free(world->meter);
}

int judge_plan(const struct plan *plan, unsigned int hertz, unsigned int milliseconds)
{
	struct world world;
	int found;

	begin_world(&world, plan);
	watch_world(&world, hertz, milliseconds);
	found = ayrei_meter_bottleneck(world.meter, true);
	if (found != plan->slow)
		print_world(&world);
	end_world(&world);
	return found;
}

void print_world(const struct world *world)
{
	for (int i = 0; i < world->plan->stages; i++) {
		struct ayre_stage_shares shares;

		ayrei_meter_shares(world->meter, (size_t)i, true, &shares);
		print_message("#   %d%c %c running %4d input %4d output %4d other %4d fill %.2f\n",
		              i, i == world->plan->slow ? '*' : ' ',
		              ayrei_meter_state(world->meter, (size_t)i), shares.running,
		              shares.input, shares.output, shares.other,
		              i < world->plan->stages - 1
		                      ? ayrei_meter_mean_fill(world->meter, (size_t)i)
		                      : 0.0);
	}
}
