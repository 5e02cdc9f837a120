/*
 * Fault injection: in every operation on every kind of segment the n-th call of the kernel
 * that can fail does fail, for every n until none is reached, with each error that it can have.
 *
 * What has to hold whatever fails: the result is that error or a success that is one; outputs
 * are untouched by a failure; nothing is left behind; and the same operation then succeeds.
 */
#include "memory/fault_operations.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "memory/guard_range.h"
#include "support/fault.h"

static struct ayre_segment *const untouched = (struct ayre_segment *)&untouched;

/* Of the whole program. */
static unsigned int points_tried;
/* Where a test was when it failed. */
static char where[256];

struct pair {
	const struct place *place;
	const struct operation *operation;
};

static void begin(struct scene *scene, const struct pair *pair)
{
	const struct place *place = pair->place;

	memset(scene, 0, sizeof(*scene));
	scene->place = place;
	scene->operation = pair->operation;
	scene->name = make_name(scene->buffer, place->kind, 0);
	scene->opened = untouched;
	scene->info.size = sizeof(scene->info);
	fault_no_unnamed_files = place->no_unnamed_files;
	fault_no_rename_new = place->no_rename_new;
	scene->operation->prepare(scene);
}

static void end(struct scene *scene)
{
	if (scene->opened != untouched)
		ayre_segment_close(scene->opened);
	ayre_segment_close(scene->segment);
	ayre_segment_list_free(scene->list);
	if (scene->name)
		(void)!ayre_segment_remove(scene->name, NULL);
	fault_no_unnamed_files = false;
	fault_no_rename_new = false;
}

/* When what removes something is what fails, it stays. */
static bool may_leave_something(const struct fault_report *report)
{
	return report->symbol &&
	       (strcmp(report->symbol, "unlink") == 0 || strcmp(report->symbol, "semctl") == 0);
}

/*
 * The lock beside a name (a file, a semaphore) that could be made and then not be taken may be
 * somebody else's by then: it stays until the name is created or removed the next time.
 */
static bool may_leave_a_lock(const struct fault_report *report)
{
	static const char *const taking[] = {"flock", "fstat", "fstatat", "semop"};

	for (size_t i = 0; report->symbol && i < sizeof(taking) / sizeof(*taking); i++)
		if (strcmp(report->symbol, taking[i]) == 0)
			return true;
	return false;
}

static void assert_left_nothing(const struct fault_report *report, const struct counts *before)
{
	struct counts allowed = *before, now = take_counts();

	if (may_leave_something(report))
		return;
	if (may_leave_a_lock(report)) {
		allowed.names += now.names == before->names + 1;
		allowed.files += now.files == before->files + 1;
		allowed.semaphores += now.semaphores == before->semaphores + 1;
	}
	assert_counts(&allowed);
}

static void assert_failed_cleanly(struct scene *scene, int result,
                                  const struct fault_report *report, const struct counts *before)
{
	assert_non_null(report->symbol);
	assert_int_equal(result, -report->error);
	assert_int_not_equal(result, -EINTR);
	assert_true(scene->error.code == 0 || scene->error.code == result);
	assert_ptr_equal(scene->opened, untouched);
	assert_null(scene->list);
	assert_left_nothing(report, before);
	scene->operation->verify_failed(scene);
}

/* Again, and nothing fails. */
static void assert_recovers(struct scene *scene, int failure)
{
	/* What failed for want of memory has not failed for good. */
	if (scene->operation->stays_failed && failure != -ENOMEM && failure != -EBUSY) {
		assert_int_equal(scene->operation->run(scene), failure);
		ayre_segment_close(scene->segment);
		assert_int_equal(ayre_segment_open(NULL, scene->name, &scene->segment, NULL), 0);
	}
	assert_true(scene->operation->run(scene) >= 0);
}

/* false: the operation makes fewer calls than that. before: what there was, and has to be. */
static bool inject(const struct pair *pair, const struct counts *before, unsigned int nth,
                   unsigned int variant)
{
	const struct operation *operation = pair->operation;
	static struct scene scene;
	struct counts with_scene;
	struct fault_report report;
	long blocks_before = fault_blocks(), blocks;
	int result;

	begin(&scene, pair);
	with_scene = take_counts();
	blocks = fault_blocks();
	fault_arm(nth, variant);
	result = operation->run(&scene);
	report = fault_disarm();
	snprintf(where, sizeof(where), "%s, %s: call %u of %u, %s, fails with %s: result %d",
	         operation->title, pair->place->title, nth, report.calls,
	         report.symbol ? report.symbol : "none",
	         report.error == FAULT_SHORT ? "a part done" : strerror(report.error), result);
	if (result < 0) {
		assert_failed_cleanly(&scene, result, &report, &with_scene);
		assert_int_equal(fault_blocks(), blocks);
		assert_recovers(&scene, result);
	}
	operation->verify(&scene);
	end(&scene);
	if (may_leave_something(&report))
		sweep();
	assert_counts(before);
	/* The first run allocates what stays. */
	if (nth > 0)
		assert_int_equal(fault_blocks(), blocks_before);
	points_tried += report.symbol != NULL;
	return report.calls >= nth;
}

/* A list asks every process of the machine: beyond the first calls only some of them. */
static unsigned int next(unsigned int nth)
{
	return nth < 50 || long_form() ? nth + 1 : nth + nth / 2;
}

static void survives_every_fault(void **state)
{
	const struct pair *pair = *state;
	struct counts before = take_counts();

	/* Once without: what is allocated for good is allocated. */
	inject(pair, &before, 0, 0);
	for (unsigned int variant = 0; variant < fault_variants(); variant++) {
		unsigned int nth = 1;

		while (inject(pair, &before, nth, variant))
			nth = next(nth);
	}
	where[0] = '\0';
}

/* A slot for the guard is allocated once, and then used again: so all are kept in use here. */
static void no_memory_for_the_guard_is_an_error(void **state)
{
	struct ayrei_guard_range *taken[64];
	struct fault_report report = {.symbol = ""};
	unsigned int nth = 1, failed = 0;
	struct counts before;
	size_t count = 0;
	char name[NAME_BYTES];

	while (count < 40)
		taken[count++] = ayrei_guard_watch(NULL, 0, true);
	before = take_counts();
	while (report.symbol) {
		struct ayre_segment *segment = untouched;
		int result;

		fault_arm(nth++, 0);
		result = ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1),
		                           name_of(state, name), &segment, NULL);
		report = fault_disarm();
		if (result >= 0) {
			ayre_segment_close(segment);
			assert_int_equal(ayre_segment_remove(name, NULL), 0);
			taken[count++] = ayrei_guard_watch(NULL, 0, true);
		} else {
			failed += strcmp(report.symbol, "calloc") == 0;
			assert_int_equal(result, -report.error);
		}
		assert_counts(&before);
	}
	/* The handle and the slot. */
	assert_int_equal(failed, 2);
	while (count > 0)
		ayrei_guard_forget(taken[--count]);
}

static int allocate_under_a_fast_timer(void *context)
{
	enum ayre_backing kind = *(enum ayre_backing *)context;
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	limit_time(5);
	fault_interrupted_bytes = 8u << 20;
	require(ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 64u << 20),
	                          make_name(name, kind, 0), &segment, NULL) == 1);
	require(ayre_segment_resize(segment, 128u << 20, NULL) >= 0);
	ayre_segment_close(segment);
	return kind == AYRE_BACKING_MEMFD ? 0 : -ayre_segment_remove(name, NULL);
}

/*
 * Where a signal every millisecond makes fallocate(2) give up, and undo what it has, an
 * allocation that takes longer never ends if the whole of it is only tried again.
 */
static void fast_timers_do_not_stop_allocation(void **state)
{
	enum ayre_backing kind = kind_of(state);

	assert_exited(run_in_child(allocate_under_a_fast_timer, &kind));
}

static char filler_path[NAME_BYTES];

/* Somebody else takes all the room, when an allocation is about to begin. */
static void take_all_room(const char *symbol)
{
	static char block[1u << 20];
	int fd;

	if (strcmp(symbol, "fallocate") != 0)
		return;
	fault_before_call = NULL;
	fd = open(filler_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	/* All but some pages. */
	for (int i = 0; i < 9; i++)
		require(write(fd, block, sizeof(block)) == sizeof(block));
	close(fd);
}

static int64_t blocks_of(const struct ayre_segment *segment)
{
	struct stat status;

	require(fstat(ayre_segment_fd(segment), &status) == 0);
	return status.st_blocks;
}

static int grow_into_a_full_disk(void *context)
{
	enum ayre_backing kind = *(enum ayre_backing *)context;
	struct ayre_segment *segment;
	char name[NAME_BYTES];
	int64_t before;

	if (mount_private_tmpfs(kind == AYRE_BACKING_SHM ? "/dev/shm" : test_directory(), "16m"))
		return CHILD_SKIPS;
	make_path(filler_path, kind, 1);
	require(ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 100),
	                          make_name(name, kind, 0), &segment, NULL) == 1);
	before = blocks_of(segment);
	fault_before_call = take_all_room;
	require(ayre_segment_resize(segment, 12u << 20, NULL) == -ENOSPC);
	require(!fault_before_call);
	require(ayre_segment_size(segment) == 100);
	/* What it had taken on the way is everybody's again. */
	require(blocks_of(segment) == before);
	return 0;
}

static int create_into_a_full_disk(void *context)
{
	enum ayre_backing kind = *(enum ayre_backing *)context;
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	if (mount_private_tmpfs(kind == AYRE_BACKING_SHM ? "/dev/shm" : test_directory(), "16m"))
		return CHILD_SKIPS;
	make_path(filler_path, kind, 1);
	fault_before_call = take_all_room;
	require(ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 12u << 20),
	                          make_name(name, kind, 0), &segment, NULL) == -ENOSPC);
	require(ayre_segment_open(NULL, name, &segment, NULL) == -ENOENT);
	return 0;
}

/* In a child that has 16 MiB to itself, and a neighbour who takes nine of them just then. */
static void while_the_disk_fills(void **state, int (*run)(void *context))
{
	enum ayre_backing kind = kind_of(state);
	int status = run_in_child(run, &kind);

	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("this user may not mount a file system");
	assert_exited(status);
}

static void growth_that_fails_half_way_gives_back(void **state)
{
	while_the_disk_fills(state, grow_into_a_full_disk);
}

static void creation_is_paid_for_whoever_is_faster(void **state)
{
	while_the_disk_fills(state, create_into_a_full_disk);
}

static int report_where(void **state)
{
	if (where[0])
		print_error("%s\n", where);
	where[0] = '\0';
	fault_disarm();
	fault_no_unnamed_files = false;
	fault_no_rename_new = false;
	return count_teardown(state);
}

/* One test for each operation that there is on each place. */
static size_t make_tests(struct CMUnitTest *tests, struct pair *pairs)
{
	static char titles[512][80];
	size_t count = 0;

	for (size_t i = 0; i < operation_count; i++)
		for (size_t j = 0; j < place_count; j++) {
			if (operations[i].fits && !operations[i].fits(&places[j]))
				continue;
			pairs[count] = (struct pair){&places[j], &operations[i]};
			snprintf(titles[count], sizeof(titles[count]), "%s, %s",
			         operations[i].title, places[j].title);
			tests[count] =
				(struct CMUnitTest){titles[count], survives_every_fault,
			                            count_setup, report_where, &pairs[count]};
			count++;
		}
	return count;
}

int main(void)
{
	static struct CMUnitTest tests[512];
	static struct pair pairs[512];
	const struct CMUnitTest others[] = {
		backing_test(no_memory_for_the_guard_is_an_error, SHM),
		file_test(creation_is_paid_for_whoever_is_faster),
		file_test(growth_that_fails_half_way_gives_back),
		backing_test(fast_timers_do_not_stop_allocation, SHM),
		backing_test(fast_timers_do_not_stop_allocation, MEMFD),
	};
	size_t count = make_tests(tests, pairs);
	int result;

	memcpy(tests + count, others, sizeof(others));
	count += sizeof(others) / sizeof(*others);
	result = run_counted_of("fault", tests, count);
	print_message("# fault points tried: %u\n", points_tried);
	return result;
}
