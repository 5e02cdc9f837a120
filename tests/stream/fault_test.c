/*
 * Fault injection for pipes: in every operation the n-th call of the kernel that can fail does
 * fail, for every n until none is reached, with each error that it can have; on this kernel and, in
 * children, on older ones.
 *
 * What has to hold whatever fails: the result is that error or a success that is one; outputs
 * are untouched by a failure; nothing is left behind; and the same operation then succeeds.
 */
#include "support/support.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <ayre/pipe.h>

#include "support/fault.h"

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

#define DATA_BYTES 5000

static struct ayre_pipe *const untouched = (struct ayre_pipe *)&untouched;

/* One run of an operation. */
struct scene {
	struct ayre_pipe *pipe;   /* what it works on; NULL: nothing */
	struct ayre_pipe *opened; /* what it opens; `untouched` before */
	int peer;                 /* the other end, as programs without ayre open it; -1: none */
	bool told;                /* the end of what the peer wrote */
	char bytes[DATA_BYTES];
	struct ayre_error error;
};

struct operation {
	const char *title;
	void (*prepare)(struct scene *scene);
	ssize_t (*run)(struct scene *scene);
};

static const char *path(void)
{
	static char text[NAME_BYTES];

	return make_path(text, AYRE_BACKING_FILE, 0);
}

static void prepare_nothing(struct scene *scene)
{
	(void)scene;
}

static void prepare_anonymous(struct scene *scene)
{
	require(ayre_pipe_open(NULL, &scene->pipe, NULL) == 0);
}

static void prepare_filled(struct scene *scene)
{
	char bytes[DATA_BYTES];

	prepare_anonymous(scene);
	fill_pattern(bytes, sizeof(bytes), 3);
	require(ayre_pipe_write(scene->pipe, bytes, sizeof(bytes)) == DATA_BYTES);
}

static void prepare_name(struct scene *scene)
{
	(void)scene;
	require(ayre_fifo_create(NULL, path(), NULL) == 0);
}

static void open_end(struct scene *scene, enum ayre_fifo_end end)
{
	prepare_name(scene);
	require(ayre_fifo_open(NULL, path(), end, &scene->pipe, NULL) == 0);
}

static void open_peer(struct scene *scene, int flags)
{
	scene->peer = open(path(), flags | O_NONBLOCK | O_CLOEXEC);
	require(scene->peer >= 0);
}

static void prepare_first_bytes(struct scene *scene)
{
	char bytes[DATA_BYTES];

	open_end(scene, AYRE_FIFO_READ);
	open_peer(scene, O_WRONLY);
	fill_pattern(bytes, sizeof(bytes), 3);
	require(write(scene->peer, bytes, sizeof(bytes)) == DATA_BYTES);
}

/* Some were read, and the writer is gone. */
static void prepare_end(struct scene *scene)
{
	char byte;

	open_end(scene, AYRE_FIFO_READ);
	open_peer(scene, O_WRONLY);
	require(write(scene->peer, "x", 1) == 1);
	require(ayre_pipe_read(scene->pipe, &byte, 1) == 1);
	close(scene->peer);
	scene->peer = -1;
}

static void prepare_late_reader(struct scene *scene)
{
	open_end(scene, AYRE_FIFO_WRITE);
	open_peer(scene, O_RDONLY);
}

static void prepare_lonely_writer(struct scene *scene)
{
	open_end(scene, AYRE_FIFO_WRITE);
}

static ssize_t run_open(struct scene *scene)
{
	return ayre_pipe_open(NULL, &scene->opened, &scene->error);
}

static ssize_t run_fd(struct scene *scene)
{
	int fd = ayre_pipe_fd(scene->pipe);

	return fd < 0 ? fd : 0;
}

static ssize_t check(struct scene *scene, ssize_t got)
{
	require(got < 0 || is_pattern(scene->bytes, (size_t)got, 3));
	return got;
}

static ssize_t run_read(struct scene *scene)
{
	return check(scene, ayre_pipe_read(scene->pipe, scene->bytes, DATA_BYTES));
}

static ssize_t run_try_read(struct scene *scene)
{
	return check(scene, ayre_pipe_try_read(scene->pipe, scene->bytes, DATA_BYTES));
}

static ssize_t run_read_until(struct scene *scene)
{
	return check(scene, ayre_pipe_read_until(scene->pipe, scene->bytes, DATA_BYTES,
	                                         now_ns() + 1000000000));
}

/* -ETIMEDOUT is what has to come. */
static ssize_t run_read_in_vain(struct scene *scene)
{
	ssize_t got =
		ayre_pipe_read_until(scene->pipe, scene->bytes, DATA_BYTES, now_ns() + 1000000);

	return got == -ETIMEDOUT ? 0 : got;
}

static ssize_t run_end(struct scene *scene)
{
	ssize_t got;

	if (!scene->told) {
		got = ayre_pipe_try_read(scene->pipe, scene->bytes, DATA_BYTES);
		if (got < 0)
			return got;
		require(got == 0);
		scene->told = true;
	}
	/* Told once, whatever became of the keeper. */
	got = ayre_pipe_try_read(scene->pipe, scene->bytes, DATA_BYTES);
	require(got != 0);
	return got == -EAGAIN ? 0 : got;
}

/* What was put before a failure is counted; the next call goes on from there. */
static ssize_t all(ssize_t put)
{
	return put < 0 || put == DATA_BYTES ? put : 0;
}

static ssize_t run_write(struct scene *scene)
{
	return all(ayre_pipe_write(scene->pipe, scene->bytes, DATA_BYTES));
}

static ssize_t run_try_write(struct scene *scene)
{
	return ayre_pipe_try_write(scene->pipe, scene->bytes, DATA_BYTES);
}

static ssize_t run_write_until(struct scene *scene)
{
	return all(ayre_pipe_write_until(scene->pipe, scene->bytes, DATA_BYTES,
	                                 now_ns() + 1000000000));
}

static ssize_t run_try_in_vain(struct scene *scene)
{
	ssize_t put = ayre_pipe_try_write(scene->pipe, scene->bytes, DATA_BYTES);

	return put == -EAGAIN ? 0 : put;
}

static ssize_t run_capacity(struct scene *scene)
{
	ssize_t fill = ayre_pipe_fill(scene->pipe);

	return fill < 0 ? fill : ayre_pipe_capacity(scene->pipe);
}

static ssize_t run_create(struct scene *scene)
{
	return ayre_fifo_create(NULL, path(), &scene->error);
}

static ssize_t run_remove(struct scene *scene)
{
	return ayre_fifo_remove(path(), &scene->error);
}

static ssize_t run_open_reading(struct scene *scene)
{
	struct ayre_pipe_options options = {.size = sizeof(options), .capacity_bytes = 8192};

	return ayre_fifo_open(&options, path(), AYRE_FIFO_READ, &scene->opened, &scene->error);
}

static ssize_t run_open_writing(struct scene *scene)
{
	struct ayre_pipe_options options = {.size = sizeof(options), .capacity_bytes = 8192};

	return ayre_fifo_open(&options, path(), AYRE_FIFO_WRITE, &scene->opened, &scene->error);
}

static const struct operation operations[] = {
	{"open", prepare_nothing, run_open},
	{"fd", prepare_anonymous, run_fd},
	{"read", prepare_filled, run_read},
	{"try read", prepare_filled, run_try_read},
	{"read until", prepare_filled, run_read_until},
	{"read in vain", prepare_anonymous, run_read_in_vain},
	{"write", prepare_anonymous, run_write},
	{"try write", prepare_anonymous, run_try_write},
	{"write until", prepare_anonymous, run_write_until},
	{"capacity and fill", prepare_anonymous, run_capacity},
	{"fifo create", prepare_nothing, run_create},
	{"fifo remove", prepare_name, run_remove},
	{"fifo open reading", prepare_name, run_open_reading},
	{"fifo open writing", prepare_name, run_open_writing},
	{"fifo first bytes", prepare_first_bytes, run_read},
	{"fifo try first bytes", prepare_first_bytes, run_try_read},
	{"fifo read until", prepare_first_bytes, run_read_until},
	{"fifo end", prepare_end, run_end},
	{"fifo write to a late reader", prepare_late_reader, run_write},
	{"fifo try to write to a late reader", prepare_late_reader, run_try_write},
	{"fifo try in vain", prepare_lonely_writer, run_try_in_vain},
};
#define OPERATIONS (sizeof(operations) / sizeof(*operations))

static unsigned int points_tried;

static void end(struct scene *scene)
{
	if (scene->opened != untouched)
		ayre_pipe_close(scene->opened);
	ayre_pipe_close(scene->pipe);
	if (scene->peer >= 0)
		close(scene->peer);
	(void)!ayre_fifo_remove(path(), NULL);
}

/* A named pipe's handle may have met its peer, or taken its keeper, before what failed. */
static void require_clean(const struct scene *scene, ssize_t result,
                          const struct fault_report *report, const struct counts *before)
{
	struct counts now = take_counts();
	int own = scene->pipe && now.files > 0;

	require(report->symbol != NULL);
	require(result == -report->error && result != -EINTR);
	require(scene->error.code == 0 || scene->error.code == result);
	require(scene->opened == untouched);
	require(now.files == before->files);
	require(now.descriptors <= before->descriptors + own);
}

/* false: the operation makes fewer calls than that. */
static bool inject(const struct operation *operation, unsigned int nth, unsigned int variant)
{
	struct scene scene = {.opened = untouched, .peer = -1};
	struct counts before = take_counts(), with_scene, after;
	struct fault_report report;
	long blocks = fault_blocks();
	ssize_t result;

	operation->prepare(&scene);
	fill_pattern(scene.bytes, sizeof(scene.bytes), 3);
	with_scene = take_counts();
	fault_arm(nth, variant);
	result = operation->run(&scene);
	report = fault_disarm();
	if (result < 0 && report.symbol && result != -report.error)
		dprintf(STDERR_FILENO, "%s: call %u of %u, %s, fails with %s: result %zd\n",
		        operation->title, nth, report.calls, report.symbol, strerror(report.error),
		        result);
	if (result < 0) {
		require_clean(&scene, result, &report, &with_scene);
		require(operation->run(&scene) >= 0);
	}
	end(&scene);
	after = take_counts();
	require(memcmp(&after, &before, sizeof(after)) == 0);
	require(fault_blocks() == blocks);
	points_tried += report.symbol != NULL;
	return report.calls >= nth;
}

static int inject_all(void *context)
{
	const struct operation *operation = context;

	inject(operation, 0, 0);
	for (unsigned int variant = 0; variant < fault_variants(); variant++) {
		unsigned int nth = 1;

		while (inject(operation, nth, variant))
			nth++;
	}
	/* None of the operations makes no call. */
	return points_tried == 0;
}

static void survives_every_fault(void **state)
{
	static const int unknown[] = {0, RWF_NOSIGNAL, RWF_NOSIGNAL | RWF_NOWAIT};

	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		int status;

		fault_unknown_flags = unknown[i];
		status = run_in_child(inject_all, *state);
		fault_unknown_flags = 0;
		assert_exited(status);
	}
}

int main(void)
{
	struct CMUnitTest tests[OPERATIONS];

	for (size_t i = 0; i < OPERATIONS; i++)
		tests[i] = (struct CMUnitTest)test_of(survives_every_fault, operations[i].title,
		                                      &operations[i]);
	return run_counted("stream fault", tests);
}
