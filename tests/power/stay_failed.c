/*
 * A segment whose disk fails: stay_failed NAME FILLER SUCCESSOR
 *
 * NAME is a file segment on a disk that cannot take its bytes, because FILLER has used up what
 * is behind it. Checks that ayre_segment_sync() reports that, and keeps reporting it; that the
 * kernel, asked directly, would call the second attempt a success, so that this is ayre's
 * doing; and that once FILLER is gone a new segment, SUCCESSOR, can bring the bytes to the disk.
 *
 * A new one, because the old file is not to be trusted while its pages are cached: ext4 (Linux
 * 6.18) that failed to write to an unwritten extent writes there again when it is asked to, reports
 * success, and leaves the extent marked as unwritten, so that it reads as zeros after a restart.
 *
 * Exit: 0, having printed the error's text; 1, having printed what was not so; 2 usage.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ayre.h>

static const char text[] = "this has to be on the disk";

static _Noreturn void fail(const char *what, int result)
{
	fprintf(stderr, "stay_failed: %s: returned %d\n", what, result);
	exit(1);
}

static struct ayre_segment *open_and_store(const char *name, uint32_t flags)
{
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.flags = flags,
		.size_bytes = sizeof(text),
	};
	struct ayre_segment *segment;
	struct ayre_error error;
	char line[512];

	if (ayre_segment_open(&options, name, &segment, &error) < 0) {
		fprintf(stderr, "stay_failed: %s\n", ayre_error_text(&error, line, sizeof(line)));
		exit(1);
	}
	memcpy(ayre_segment_data(segment), text, sizeof(text));
	return segment;
}

/* Every kind of sync, of a part and of the whole. */
static void expect_failed(struct ayre_segment *segment, int expected, const char *when)
{
	static const enum ayre_sync kinds[] = {AYRE_SYNC_WAIT, AYRE_SYNC_ASYNC,
	                                       AYRE_SYNC_INVALIDATE};

	for (int i = 0; i < 3; i++) {
		int whole = ayre_segment_sync(segment, 0, 0, kinds[i]);
		int part = ayre_segment_sync(segment, ayre_segment_size(segment) - 1, 1, kinds[i]);

		if (whole != expected)
			fail(when, whole);
		if (part != expected)
			fail(when, part);
	}
}

int main(int argc, char **argv)
{
	struct ayre_segment *segment;
	int first, result;

	if (argc != 4) {
		fprintf(stderr, "usage: stay_failed NAME FILLER SUCCESSOR\n");
		return 2;
	}
	segment = open_and_store(argv[1], 0);
	first = ayre_segment_sync(segment, 0, 0, AYRE_SYNC_WAIT);
	if (first >= 0)
		fail("sync on a disk that fails", first);

	/* The control: what a program without ayre would be told now. */
	if (msync(ayre_segment_data(segment), ayre_segment_size(segment), MS_SYNC) == -1)
		fail("control: the kernel remembers the failure by itself", -errno);
	expect_failed(segment, first, "sync after a failed one");

	if (unlink(argv[2]) == -1)
		fail(argv[2], -errno);
	expect_failed(segment, first, "sync of a failed handle, the disk being well again");
	ayre_segment_close(segment);

	segment = open_and_store(argv[3], AYRE_SEGMENT_CREATE | AYRE_SEGMENT_EXCLUSIVE);
	result = ayre_segment_sync(segment, 0, 0, AYRE_SYNC_WAIT);
	if (result != 0)
		fail("sync of a new segment", result);
	ayre_segment_close(segment);
	puts(strerror(-first));
	return 0;
}
