/*
 * What fault injection is tried on: every operation of ayre, on every kind of segment.
 */
#include "memory/fault_operations.h"

#include <ayre/guard.h>

#define LARGE_BYTES (2u << 20)

const struct place places[] = {
	{"sysv", AYRE_BACKING_SYSV, DATA_BYTES, false, false},
	{"shm", AYRE_BACKING_SHM, DATA_BYTES, false, false},
	{"file", AYRE_BACKING_FILE, DATA_BYTES, false, false},
	{"large shm", AYRE_BACKING_SHM, LARGE_BYTES, false, false},
	{"file without O_TMPFILE", AYRE_BACKING_FILE, DATA_BYTES, true, false},
	{"file without RENAME_NOREPLACE", AYRE_BACKING_FILE, DATA_BYTES, true, true},
	{"memfd", AYRE_BACKING_MEMFD, DATA_BYTES, false, false},
};
const size_t place_count = sizeof(places) / sizeof(*places);

static bool has_name(const struct place *place)
{
	return place->kind != AYRE_BACKING_MEMFD;
}

static bool has_descriptor(const struct place *place)
{
	return place->kind != AYRE_BACKING_SYSV;
}

static bool is_anonymous(const struct place *place)
{
	return !has_name(place);
}

static bool is_memory(const struct place *place)
{
	return place->kind == AYRE_BACKING_SHM || place->kind == AYRE_BACKING_MEMFD;
}

/* One place of each kind is enough. */
static bool is_listed(const struct place *place)
{
	return place->kind == AYRE_BACKING_SYSV || place->size_bytes > DATA_BYTES;
}

static bool is_file(const struct place *place)
{
	return place->kind == AYRE_BACKING_FILE && !place->no_unnamed_files;
}

static bool is_named_file(const struct place *place)
{
	return has_name(place) && has_descriptor(place);
}

static int fill(void *data, size_t data_bytes, void *context)
{
	(void)context;
	if (!is_zero(data, data_bytes))
		return -EILSEQ;
	fill_pattern(data, data_bytes < DATA_BYTES ? data_bytes : DATA_BYTES, 77);
	return 0;
}

static struct ayre_segment_options create_options(const struct scene *scene)
{
	bool mirrored = scene->operation->flags & AYRE_SEGMENT_MIRRORED;

	return *OPTIONS(.flags = AYRE_SEGMENT_CREATE | scene->operation->flags,
	                .size_bytes = mirrored ? 65536 : scene->place->size_bytes,
	                .mode = scene->operation->mode, .tag = scene->operation->tag,
	                .initialize = scene->operation->tag ? fill : NULL);
}

static void prepare_nothing(struct scene *scene)
{
	(void)scene;
}

static void prepare_segment(struct scene *scene)
{
	struct ayre_segment_options options =
		*OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = scene->place->size_bytes,
	                 .tag = scene->operation->tag, .initialize = fill);

	assert_int_equal(ayre_segment_open(&options, scene->name, &scene->segment, NULL), 1);
}

/* A name, and nobody who has it open. */
static void prepare_name(struct scene *scene)
{
	prepare_segment(scene);
	ayre_segment_close(scene->segment);
	scene->segment = NULL;
}

/* A handle that has not seen yet that its segment has grown. */
static void prepare_grown(struct scene *scene)
{
	struct ayre_segment *other;

	prepare_segment(scene);
	assert_int_equal(ayre_segment_open_fd(NULL, ayre_segment_fd(scene->segment), &other, NULL),
	                 0);
	assert_true(ayre_segment_resize(other, 2 * scene->place->size_bytes, NULL) >= 0);
	ayre_segment_close(other);
}

static int run_create(struct scene *scene)
{
	struct ayre_segment_options options = create_options(scene);

	return ayre_segment_open(&options, scene->name, &scene->opened, &scene->error);
}

static void verify_create(struct scene *scene)
{
	struct ayre_segment_options options = create_options(scene);
	struct ayre_segment_info info = {.size = sizeof(info)};

	assert_int_equal(ayre_segment_backing(scene->opened), scene->place->kind);
	assert_int_equal(ayre_segment_get_info(scene->opened, &info), 0);
	assert_int_equal(info.mode, options.mode);
	assert_int_equal(ayre_segment_size(scene->opened), options.size_bytes);
	if (options.tag) {
		assert_string_equal(ayre_segment_tag(scene->opened), options.tag);
		assert_true(is_pattern(ayre_segment_data(scene->opened), DATA_BYTES, 77));
	} else {
		assert_true(is_zero(ayre_segment_data(scene->opened), DATA_BYTES));
	}
	/* And so does everybody else see it. */
	if (scene->name)
		assert_int_equal(ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY,
		                                           .tag = options.tag),
		                                   scene->name, &scene->segment, NULL),
		                 0);
}

static void verify_not_created(struct scene *scene)
{
	struct ayre_segment *segment;

	if (scene->name)
		assert_int_equal(ayre_segment_open(NULL, scene->name, &segment, NULL), -ENOENT);
}

static int run_open(struct scene *scene)
{
	return ayre_segment_open(
		OPTIONS(.flags = scene->operation->flags, .tag = scene->operation->tag),
		scene->name, &scene->opened, &scene->error);
}

static void verify_opened(struct scene *scene)
{
	assert_int_equal(ayre_segment_backing(scene->opened), scene->place->kind);
	assert_int_equal(ayre_segment_size(scene->opened), scene->place->size_bytes);
	assert_true(is_pattern(ayre_segment_data(scene->opened), DATA_BYTES, 77));
}

static int run_open_fd(struct scene *scene)
{
	return ayre_segment_open_fd(OPTIONS(.flags = scene->operation->flags),
	                            ayre_segment_fd(scene->segment), &scene->opened, &scene->error);
}

static void verify_opened_fd(struct scene *scene)
{
	bool is_memory = scene->place->kind == AYRE_BACKING_MEMFD;

	assert_int_equal(ayre_segment_backing(scene->opened),
	                 is_memory ? AYRE_BACKING_MEMFD : AYRE_BACKING_FILE);
	assert_true(is_pattern(ayre_segment_data(scene->opened), DATA_BYTES, 77));
}

static int run_grow(struct scene *scene)
{
	return ayre_segment_resize(scene->segment, scene->place->size_bytes + 300000,
	                           &scene->error);
}

static void verify_grown(struct scene *scene)
{
	size_t size = ayre_segment_size(scene->segment);
	char *data = ayre_segment_data(scene->segment);

	assert_true(size > scene->place->size_bytes);
	assert_true(is_pattern(data, DATA_BYTES, 77));
	assert_true(is_zero(data + DATA_BYTES, size - DATA_BYTES));
	memset(data + DATA_BYTES, 'x', size - DATA_BYTES);
}

static void verify_as_before(struct scene *scene)
{
	assert_int_equal(ayre_segment_size(scene->segment), scene->place->size_bytes);
	assert_true(is_pattern(ayre_segment_data(scene->segment), DATA_BYTES, 77));
	assert_int_equal(ayre_segment_check(scene->segment), 0);
}

static int run_shrink(struct scene *scene)
{
	return ayre_segment_resize(scene->segment, 1000, &scene->error);
}

static void verify_shrunk(struct scene *scene)
{
	assert_int_equal(ayre_segment_size(scene->segment), 1000);
	assert_true(is_pattern(ayre_segment_data(scene->segment), 1000, 77));
}

static int run_refresh(struct scene *scene)
{
	return ayre_segment_refresh(scene->segment);
}

static int run_read(struct scene *scene)
{
	return ayre_segment_read(scene->segment, 0, scene->bytes, DATA_BYTES);
}

static void verify_read(struct scene *scene)
{
	assert_true(is_pattern(scene->bytes, DATA_BYTES, 77));
}

static int run_write(struct scene *scene)
{
	fill_pattern(scene->bytes, DATA_BYTES, 78);
	return ayre_segment_write(scene->segment, 0, scene->bytes, DATA_BYTES);
}

static void verify_written(struct scene *scene)
{
	assert_true(is_pattern(ayre_segment_data(scene->segment), DATA_BYTES, 78));
}

static int run_check(struct scene *scene)
{
	return ayre_segment_check(scene->segment);
}

static void verify_nothing(struct scene *scene)
{
	(void)scene;
}

static int run_sync(struct scene *scene)
{
	return ayre_segment_sync(scene->segment, 0, 0, AYRE_SYNC_WAIT);
}

static int run_sync_async(struct scene *scene)
{
	return ayre_segment_sync(scene->segment, 0, 0, AYRE_SYNC_ASYNC);
}

static int run_sync_invalidate(struct scene *scene)
{
	return ayre_segment_sync(scene->segment, 100, 100, AYRE_SYNC_INVALIDATE);
}

static int run_get_info(struct scene *scene)
{
	return ayre_segment_get_info(scene->segment, &scene->info);
}

static void verify_info(struct scene *scene)
{
	assert_int_equal(scene->info.size_bytes, scene->place->size_bytes);
	assert_int_equal(scene->info.mode, 0644);
	assert_true(scene->info.resident_bytes >= DATA_BYTES);
}

static void verify_no_info(struct scene *scene)
{
	struct ayre_segment_info blank = {.size = sizeof(blank)};

	assert_memory_equal(&scene->info, &blank, sizeof(blank));
}

static int run_remove(struct scene *scene)
{
	return ayre_segment_remove(scene->name, &scene->error);
}

static void verify_removed(struct scene *scene)
{
	assert_int_equal(ayre_segment_remove(scene->name, NULL), -ENOENT);
}

static int run_list(struct scene *scene)
{
	return ayre_segment_list_new(
		&(struct ayre_segment_list_options){
			.size = sizeof(struct ayre_segment_list_options),
			.backings = 1u << scene->place->kind,
			.name = scene->name},
		&scene->list, &scene->error);
}

static void verify_list(struct scene *scene)
{
	assert_true(ayre_segment_list_count(scene->list) >= 1);
}

static int run_guard(struct scene *scene)
{
	int result = ayre_guard_install();

	(void)scene;
	return result == 1 ? ayre_guard_remove() : result;
}

/* Whichever of the two failed, the guard knows whether it stands. */
static void verify_guard(struct scene *scene)
{
	int result = ayre_guard_remove();

	(void)scene;
	assert_true(result == 0 || result == -ENOENT);
}

#define CREATE_MODE(title, flags, mode, tag, fits) \
	{ \
		title, prepare_nothing, run_create, verify_create, verify_not_created, flags, \
			mode, tag, fits, false \
	}
#define CREATE(title, flags, tag, fits) CREATE_MODE(title, flags, 0640, tag, fits)
#define WORK(title, prepare, run, verify, verify_failed, flags, fits) \
	{ \
		title, prepare, run, verify, verify_failed, flags, 0, "tagged", fits, false \
	}
#define SYNC(title, run) \
	{ \
		title, prepare_segment, run, verify_nothing, verify_nothing, 0, 0, "tagged", \
			is_file, true \
	}

const struct operation operations[] = {
	CREATE("create raw", 0, NULL, NULL),
	CREATE("create typed", 0, "tagged", NULL),
	CREATE("create read-only", AYRE_SEGMENT_READ_ONLY, "tagged", NULL),
	CREATE("create raw read-only", AYRE_SEGMENT_READ_ONLY, NULL, NULL),
	CREATE_MODE("create denied to its owner", AYRE_SEGMENT_READ_ONLY, 0444, "tagged", NULL),
	CREATE("create exclusively", AYRE_SEGMENT_EXCLUSIVE, "tagged", has_name),
	CREATE("create mirrored", AYRE_SEGMENT_MIRRORED, "tagged", has_descriptor),
	CREATE("create populated", AYRE_SEGMENT_POPULATE, NULL, NULL),
	CREATE("create huge", AYRE_SEGMENT_HUGE, "tagged", is_memory),
	CREATE("create for one writer", AYRE_SEGMENT_SOLE_WRITER, NULL, is_anonymous),
	WORK("open", prepare_name, run_open, verify_opened, verify_nothing, 0, has_name),
	WORK("open read-only", prepare_name, run_open, verify_opened, verify_nothing,
             AYRE_SEGMENT_READ_ONLY, has_name),
	WORK("open populated", prepare_name, run_open, verify_opened, verify_nothing,
             AYRE_SEGMENT_POPULATE, has_name),
	WORK("open descriptor", prepare_segment, run_open_fd, verify_opened_fd, verify_nothing, 0,
             has_descriptor),
	WORK("grow", prepare_segment, run_grow, verify_grown, verify_as_before, 0, has_descriptor),
	WORK("refresh", prepare_grown, run_refresh, verify_grown, verify_as_before, 0,
             has_descriptor),
	WORK("shrink", prepare_segment, run_shrink, verify_shrunk, verify_as_before, 0,
             is_named_file),
	WORK("read", prepare_segment, run_read, verify_read, verify_nothing, 0, NULL),
	WORK("write", prepare_segment, run_write, verify_written, verify_nothing, 0, NULL),
	WORK("check", prepare_segment, run_check, verify_nothing, verify_nothing, 0, NULL),
	SYNC("sync", run_sync),
	SYNC("sync async", run_sync_async),
	SYNC("sync invalidate", run_sync_invalidate),
	WORK("get info", prepare_segment, run_get_info, verify_info, verify_no_info, 0, NULL),
	WORK("remove", prepare_name, run_remove, verify_removed, verify_nothing, 0, has_name),
	WORK("list", prepare_segment, run_list, verify_list, verify_nothing, 0, is_listed),
	WORK("guard", prepare_nothing, run_guard, verify_nothing, verify_guard, 0, is_file),
};
const size_t operation_count = sizeof(operations) / sizeof(*operations);
