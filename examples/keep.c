/*
 * What stays when the program ends, and when the machine does (system S4): the asynchronous,
 * the synchronous and the invalidating sync.
 *
 *   keep FILE NAME    NAME: of POSIX shared memory, for comparison
 *
 * Counts its own runs in both. FILE keeps the count for good; the one in memory begins anew when
 * the machine has restarted.
 *
 * Compiled by
 *
 *   cc -o keep keep.c $(pkg-config --cflags --libs ayre)
 */
#include <inttypes.h>
#include <stdio.h>

#include <ayre.h>

/* Typed by its tag, so that another program's file is not taken for ours. */
#define TAG "keep/1"

static int fail(const char *what, const struct ayre_error *error)
{
	char text[640];

	fprintf(stderr, "keep: %s: %s\n", what, ayre_error_text(error, text, sizeof(text)));
	return 1;
}

static int open_count(const char *prefix, const char *name, struct ayre_segment **ret_segment)
{
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.flags = AYRE_SEGMENT_CREATE,
		.size_bytes = sizeof(uint64_t),
		.tag = TAG,
	};
	struct ayre_error error;
	char full[4200];

	snprintf(full, sizeof(full), "%s:%s", prefix, name);
	if (ayre_segment_open(&options, full, ret_segment, &error) < 0)
		return fail("open", &error);
	return 0;
}

/* In the order of what they promise. */
static const struct {
	enum ayre_sync how;
	const char *name;
	const char *promise;
} syncs[] = {
	{AYRE_SYNC_ASYNC, "asynchronous", "nothing: the kernel writes when it likes"},
	{AYRE_SYNC_WAIT, "synchronous", "the disk has it: it survives a power cut"},
	{AYRE_SYNC_INVALIDATE, "invalidating", "the same, and every other map of the file sees it"},
};

/* Says what each sync promises of this segment. A failed one stays failed; see ayre/segment.h. */
static int sync_count(struct ayre_segment *segment, const char *label)
{
	for (int i = 0; i < 3; i++) {
		int result = ayre_segment_sync(segment, 0, 0, syncs[i].how);

		if (result < 0) {
			struct ayre_error error = {.code = result, .object = "sync"};

			return fail(label, &error);
		}
		printf("%s, %s sync: %s\n", label, syncs[i].name,
		       result == 1 ? "no disk to bring it to: gone with the machine"
		                   : syncs[i].promise);
	}
	return 0;
}

static int count_run(const char *prefix, const char *name)
{
	struct ayre_segment *segment;
	uint64_t *runs;
	int result = open_count(prefix, name, &segment);

	if (result != 0)
		return result;
	/* Stored through the pointer. From now on it survives this program, on either backing. */
	runs = ayre_segment_data(segment);
	++*runs;
	printf("%s: run %" PRIu64 "\n", prefix, *runs);
	result = sync_count(segment, prefix);
	ayre_segment_close(segment);
	return result;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: keep FILE NAME\n");
		return 2;
	}
	if (count_run("file", argv[1]) != 0 || count_run("shm", argv[2]) != 0)
		return 1;
	return ferror(stdout) || fflush(stdout) != 0;
}
