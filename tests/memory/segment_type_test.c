/*
 * Typed segments: the tag, the header's bytes as docs/FORMAT.md gives them to other programs,
 * and headers that are damaged.
 */
#include "support/open.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>

#define DATA_BYTES 300

/* Offsets of the header's fields: written down once more, because others rely on them. */
enum {
	MAGIC = 0,
	VERSION = 8,
	HEADER_BYTES = 12,
	COMPATIBLE = 16,
	INCOMPATIBLE = 20,
	CREATED = 24,
	GENERATION = 32,
	TAG_BYTES = 48,
	RESERVED = 52,
	TAG = 64,
	END = 256,
};

static uint32_t word_at(const unsigned char *bytes, size_t offset)
{
	bytes += offset;
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

static void set_word(unsigned char *bytes, size_t offset, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		bytes[offset + (size_t)i] = (unsigned char)(value >> 8 * i);
}

static const char *create(void **state, const char *tag, uint32_t flags, char name[NAME_BYTES])
{
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE | flags,
	                                  .size_bytes = DATA_BYTES, .tag = tag),
	                          name_of(state, name), NULL),
	                 1);
	return name;
}

/* The whole of segment 0 as any program sees it, by calls that are not ayre's. */
static unsigned char *map_all(enum ayre_backing kind, size_t *ret_size)
{
	char path[NAME_BYTES];
	struct shmid_ds segment;
	struct stat status;
	void *all;
	int id, fd;

	if (kind == AYRE_BACKING_SYSV) {
		id = shmget(make_key(0), 0, 0);
		assert_int_equal(shmctl(id, IPC_STAT, &segment), 0);
		*ret_size = segment.shm_segsz;
		all = shmat(id, NULL, 0);
	} else {
		fd = open(make_path(path, kind, 0), O_RDWR | O_CLOEXEC);
		assert_int_equal(fstat(fd, &status), 0);
		*ret_size = (size_t)status.st_size;
		all = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	assert_ptr_not_equal(all, MAP_FAILED);
	return all;
}

static void unmap_all(enum ayre_backing kind, unsigned char *all, size_t size)
{
	if (kind == AYRE_BACKING_SYSV)
		shmdt(all);
	else
		munmap(all, size);
}

static void tags_are_checked(void **state)
{
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	create(state, "prices 1", 0, name);
	assert_int_equal(try_open(OPTIONS(.tag = "prices 1"), name, &segment), 0);
	assert_string_equal(ayre_segment_tag(segment), "prices 1");
	ayre_segment_close(segment);
	/* Without a tag any is opened, and its data begin behind the header. */
	assert_int_equal(try_open(NULL, name, &segment), 0);
	assert_string_equal(ayre_segment_tag(segment), "prices 1");
	assert_int_equal(ayre_segment_size(segment), DATA_BYTES);
	ayre_segment_close(segment);
	assert_int_equal(try_open(OPTIONS(.tag = "prices 2"), name, NULL), -EMEDIUMTYPE);
	assert_int_equal(try_open(OPTIONS(.tag = "prices"), name, NULL), -EMEDIUMTYPE);
	assert_int_equal(try_open(OPTIONS(.tag = "prices 11"), name, NULL), -EMEDIUMTYPE);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = DATA_BYTES,
	                                  .tag = "prices 2"),
	                          name, NULL),
	                 -EMEDIUMTYPE);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void raw_segments_have_no_tag(void **state)
{
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	create(state, NULL, 0, name);
	assert_int_equal(try_open(OPTIONS(.tag = "t"), name, NULL), -EMEDIUMTYPE);
	assert_int_equal(try_open(NULL, name, &segment), 0);
	assert_null(ayre_segment_tag(segment));
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void tags_have_up_to_191_bytes(void **state)
{
	char name[NAME_BYTES], tag[AYRE_SEGMENT_TAG_MAX + 2];
	struct ayre_segment *segment;

	memset(tag, 't', sizeof(tag));
	tag[AYRE_SEGMENT_TAG_MAX + 1] = '\0';
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1, .tag = tag),
	                 name_of(state, name), NULL),
		-EINVAL);
	tag[AYRE_SEGMENT_TAG_MAX] = '\0';
	create(state, tag, 0, name);
	assert_int_equal(try_open(OPTIONS(.tag = tag), name, &segment), 0);
	assert_string_equal(ayre_segment_tag(segment), tag);
	ayre_segment_close(segment);
	tag[AYRE_SEGMENT_TAG_MAX - 1] = '\0';
	assert_int_equal(try_open(OPTIONS(.tag = tag), name, NULL), -EMEDIUMTYPE);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void header_has_the_documented_bytes(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), header = page > 4096 ? page : 4096, size;
	struct timespec now;
	struct ayre_segment *segment;
	unsigned char *all;
	int64_t created;
	char name[NAME_BYTES];

	create(state, "documented", 0, name);
	all = map_all(kind_of(state), &size);
	assert_int_equal(size, header + DATA_BYTES);
	assert_memory_equal(all + MAGIC, "AYRESEG\0", 8);
	assert_int_equal(word_at(all, VERSION), 1);
	assert_int_equal(word_at(all, HEADER_BYTES), header);
	assert_int_equal(word_at(all, COMPATIBLE), 0);
	assert_int_equal(word_at(all, INCOMPATIBLE), 0);
	created = (int64_t)(word_at(all, CREATED) | (uint64_t)word_at(all, CREATED + 4) << 32);
	clock_gettime(CLOCK_REALTIME, &now);
	assert_in_range(now.tv_sec - created / 1000000000, 0, 60);
	assert_false(is_zero(all + GENERATION, 16));
	assert_int_equal(word_at(all, TAG_BYTES), strlen("documented"));
	assert_true(is_zero(all + RESERVED, TAG - RESERVED));
	assert_memory_equal(all + TAG, "documented", sizeof("documented"));
	assert_true(is_zero(all + TAG + sizeof("documented"), END - TAG - sizeof("documented")));
	assert_true(is_zero(all + END, header - END));
	/* The data begin where it says. */
	assert_int_equal(try_open(NULL, name, &segment), 0);
	fill_pattern(ayre_segment_data(segment), DATA_BYTES, 9);
	assert_true(is_pattern(all + header, DATA_BYTES, 9));
	ayre_segment_close(segment);
	unmap_all(kind_of(state), all, size);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void generations_differ(void **state)
{
	unsigned char first[16], *all;
	char name[NAME_BYTES];
	size_t size;

	create(state, "t", 0, name);
	all = map_all(kind_of(state), &size);
	memcpy(first, all + GENERATION, sizeof(first));
	unmap_all(kind_of(state), all, size);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
	create(state, "t", 0, name);
	all = map_all(kind_of(state), &size);
	assert_memory_not_equal(first, all + GENERATION, sizeof(first));
	unmap_all(kind_of(state), all, size);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void raw_flag_takes_the_header_as_data(void **state)
{
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	create(state, "t", 0, name);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_RAW), name, &segment), 0);
	assert_null(ayre_segment_tag(segment));
	assert_true(ayre_segment_size(segment) > 4096);
	assert_memory_equal(ayre_segment_data(segment), "AYRESEG\0", 8);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

/* One field of a good header, set to this. */
struct damage {
	const char *field;
	size_t offset;
	uint32_t value;
	int result; /* of opening it without a tag */
};

static const struct damage damages[] = {
	{"magic", MAGIC, 0x45525942, 0}, /* then it is nobody's header: raw */
	{"end of the magic", MAGIC + 4, 0x01474553, 0},
	{"version 0", VERSION, 0, -EPROTO},
	{"version 2", VERSION, 2, -EPROTO},
	{"version, far away", VERSION, UINT32_MAX, -EPROTO},
	{"header of no bytes", HEADER_BYTES, 0, -EPROTO},
	{"header, odd", HEADER_BYTES, 4097, -EPROTO},
	{"header, small", HEADER_BYTES, 256, -EPROTO},
	{"header beyond the end", HEADER_BYTES, 8192, -EPROTO},
	{"header, enormous", HEADER_BYTES, 0xfffff000, -EPROTO},
	{"compatible feature", COMPATIBLE, 1, 0},
	{"incompatible feature", INCOMPATIBLE, 1, -EPROTO},
	{"incompatible feature, last", INCOMPATIBLE, 1u << 31, -EPROTO},
	{"tag of no bytes", TAG_BYTES, 0, -EPROTO},
	{"tag, too short", TAG_BYTES, 2, -EPROTO},
	{"tag, too long", TAG_BYTES, 4, -EPROTO},
	{"tag beyond its field", TAG_BYTES, 192, -EPROTO},
	{"tag, enormous", TAG_BYTES, UINT32_MAX, -EPROTO},
	{"first of the tag", TAG, 0, -EPROTO},
	{"end of the tag", TAG, 0x74746f6e, -EPROTO}, /* "nott", where tag_bytes says 3 */
};

static void try_damage(enum ayre_backing kind, const char *name, const struct damage *damage)
{
	unsigned char *all, good[4];
	size_t size;
	int result;

	all = map_all(kind, &size);
	memcpy(good, all + damage->offset, sizeof(good));
	set_word(all, damage->offset, damage->value);
	result = try_open(NULL, name, NULL);
	if (result != damage->result)
		fail_msg("%s: %d, not %d", damage->field, result, damage->result);
	/* With RAW it is only bytes. */
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_RAW), name, NULL), 0);
	memcpy(all + damage->offset, good, sizeof(good));
	assert_int_equal(try_open(OPTIONS(.tag = "tag"), name, NULL), 0);
	unmap_all(kind, all, size);
}

static void damaged_headers_are_refused(void **state)
{
	char name[NAME_BYTES];

	create(state, "tag", 0, name);
	for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++)
		try_damage(kind_of(state), name, &damages[i]);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

/* A tag without any end in its field must not be read beyond it. */
static void tag_without_end_is_refused(void **state)
{
	unsigned char *all;
	char name[NAME_BYTES];
	size_t size;

	create(state, "tag", 0, name);
	all = map_all(kind_of(state), &size);
	memset(all + TAG, 't', END - TAG);
	for (uint32_t length = 190; length < 194; length++) {
		set_word(all, TAG_BYTES, length);
		assert_int_equal(try_open(NULL, name, NULL), -EPROTO);
	}
	unmap_all(kind_of(state), all, size);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

/* A file that begins like a header and ends before it does. */
static void cut_headers_are_no_headers(void **state)
{
	char name[NAME_BYTES], path[NAME_BYTES];
	struct ayre_segment *segment;

	create(state, "tag", 0, name);
	make_path(path, kind_of(state), 0);
	assert_int_equal(truncate(path, 4096), 0);
	assert_int_equal(try_open(OPTIONS(.tag = "tag"), name, &segment), 0);
	assert_int_equal(ayre_segment_size(segment), 0);
	assert_null(ayre_segment_data(segment));
	ayre_segment_close(segment);
	assert_int_equal(truncate(path, 4095), 0);
	assert_int_equal(try_open(NULL, name, NULL), -EPROTO);
	assert_int_equal(truncate(path, 255), 0);
	assert_int_equal(try_open(OPTIONS(.tag = "tag"), name, NULL), -EMEDIUMTYPE);
	assert_int_equal(try_open(NULL, name, &segment), 0);
	assert_int_equal(ayre_segment_size(segment), 255);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

/* What processes of other versions rely on while the segment is made. */
static int look_at_marks(void *data, size_t data_bytes, void *context)
{
	struct shmid_ds segment;

	(void)data;
	(void)data_bytes;
	(void)context;
	if (shmctl(shmget(make_key(0), 0, 0), IPC_STAT, &segment) == -1 ||
	    (segment.shm_perm.mode & 0777) != 0601)
		return -EILSEQ;
	return semctl(semget(lock_key_of(make_key(0)), 1, 0), 0, GETVAL) == 1 ? 0 : -EDOM;
}

static void unfinished_segments_have_the_documented_marks(void **state)
{
	char name[NAME_BYTES];

	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = DATA_BYTES,
	                                  .initialize = look_at_marks),
	                          name_of(state, name), NULL),
	                 1);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		named_test(tags_are_checked),
		named_test(raw_segments_have_no_tag),
		named_test(tags_have_up_to_191_bytes),
		named_test(header_has_the_documented_bytes),
		named_test(generations_differ),
		named_test(raw_flag_takes_the_header_as_data),
		named_test(damaged_headers_are_refused),
		named_test(tag_without_end_is_refused),
		file_test(cut_headers_are_no_headers),
		backing_test(unfinished_segments_have_the_documented_marks, SYSV),
	};

	return run_counted("segment type", tests);
}
