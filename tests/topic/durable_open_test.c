/*
 * Topics on a disk: which log a publisher takes, and what a subscriber finds who begins somewhere in one.
 */
#include "topic/durable_world.h"

/* --- publishers --- */

/* More than anybody would look through who gives up some time. */
#define LOGS 150

static int compare_lanes(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

/* All at once; afterwards all are closed. */
static void publish_at_once(uint64_t lanes[static LOGS])
{
	struct ayre_publisher *publishers[LOGS];

	for (int i = 0; i < LOGS; i++) {
		publishers[i] =
			publish(PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE)), disk_topic());
		lanes[i] = info_of_publisher(publishers[i]).id;
	}
	for (int i = 0; i < LOGS; i++)
		ayre_publisher_close(publishers[i]);
	qsort(lanes, LOGS, sizeof(*lanes), compare_lanes);
}

TOPIC_TEST(no_log_is_left_lying)
{
	static uint64_t first[LOGS], again[LOGS];

	SKIP_UNLESS_ON_DISK();
	publish_at_once(first);
	require(access(disk_half(), F_OK) == 0);
	publish_at_once(again);
	require(memcmp(first, again, sizeof(first)) == 0);
	reboot();
	publish_at_once(again);
	require(memcmp(first, again, sizeof(first)) == 0);
	remove_disk_topic();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(no_log_is_left_lying),
	};

	use_topic_root();
	use_disk_topics();
	return run_counted("durable_open", tests);
}
