/*
 * Lanes without a name: one publisher, one subscriber, descriptors.
 *
 * What stands in a directory otherwise is four descriptors here: the lane and the cursor (memory
 * files), and the two bells (pipes). Both memory files are made by whoever opens the pair, who maps
 * what he writes and then seals it against all later writing; what the other writes stays
 * writable for the other. Sizes are sealed for both.
 *
 * That the other has ended is told by the bells alone: each end holds the reading end of its own and the
 * writing end of the other's, and nobody else has either.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/map.h"
#include "sys/pipe.h"
#include "sys/system.h"
#include "topic/bell.h"
#include "topic/directory_make.h"
#include "topic/publisher.h"
#include "topic/subscriber.h"

/* What the descriptors are, for either end. */
enum {
	LANE,
	CURSOR,
	OWN_BELL,   /* that end reads */
	OTHER_BELL, /* that end writes */
};

#define DEFAULT_RING ((uint64_t)1 << 20)
#define HEADER_BYTES sizeof(struct ayrei_lane_layout)

static const char label[] = "lane without a name";

static int fail(struct ayre_error *error, int code, const char *step)
{
	return ayrei_fail(error, code, step, label, NULL);
}

/* All of a pair, before its halves are separated. */
struct pair {
	int lane, cursor;
	int publisher_bell[2], subscriber_bell[2]; /* read, write */
	uint64_t ring_bytes;
	uint8_t generation[AYREI_GENERATION_BYTES];
};

static void close_pair(struct pair *pair)
{
	ayrei_file_close(pair->lane);
	ayrei_file_close(pair->cursor);
	for (int i = 0; i < 2; i++) {
		ayrei_file_close(pair->publisher_bell[i]);
		ayrei_file_close(pair->subscriber_bell[i]);
	}
}

static int make_bell(int fds[2])
{
	int result = ayrei_pipe_open(fds);

	for (int i = 0; result == 0 && i < 2; i++)
		result = ayrei_descriptor_set_blocking(fds[i], false);
	return result < 0 ? result : 0;
}

static int make_memory(const char *name, uint64_t bytes, struct ayre_error *error)
{
	ayrei_auto_fd int fd = ayrei_memory_file(name);
	int result = fd < 0 ? fd : ayrei_file_allocate_private(fd, bytes);

	if (fd >= 0 && result == -ENOMEM)
		return ayrei_fail(error, result, "allocate", label,
		                  "%" PRIu64 " bytes asked for, %" PRIu64
		                  " are free in this machine's memory",
		                  bytes, ayrei_file_room(fd));
	return result < 0 ? fail(error, result, "allocate") : ayrei_take_fd(&fd);
}

static int make_pair(const struct ayre_topic_options *topic, struct pair *pair,
                     struct ayre_error *error)
{
	uint64_t ring = topic && topic->ring_bytes ? topic->ring_bytes : DEFAULT_RING;
	int result;

	*pair = (struct pair){
		.lane = -1,
		.cursor = -1,
		.publisher_bell = {-1, -1},
		.subscriber_bell = {-1, -1},
		.ring_bytes = ayrei_page_bytes(),
	};
	if (ring > AYREI_MOST_RING)
		return fail(error, -EINVAL, "size");
	while (pair->ring_bytes < ring)
		pair->ring_bytes *= 2;
	result = pair->lane = make_memory("ayre-lane", HEADER_BYTES + pair->ring_bytes, error);
	if (result >= 0)
		result = pair->cursor =
			make_memory("ayre-cursor", sizeof(struct ayrei_cursor_layout), error);
	if (result >= 0) {
		result = ayrei_random(pair->generation, sizeof(pair->generation));
		if (result == 0)
			result = make_bell(pair->publisher_bell);
		if (result == 0)
			result = make_bell(pair->subscriber_bell);
		if (result < 0)
			fail(error, result, "bell");
	}
	if (result < 0)
		close_pair(pair);
	return result;
}

/* --- the first line of both files, which whoever opens the pair writes --- */

static int begin_lane(struct ayre_publisher *publisher, int fd, const struct pair *pair)
{
	struct ayrei_lane_layout *layout;
	int result =
		ayrei_shared_map(&publisher->map, fd, HEADER_BYTES, pair->ring_bytes, true, true);

	if (result < 0)
		return result;
	layout = publisher->map.base;
	memcpy(layout->magic, AYREI_LANE_MAGIC, sizeof(layout->magic));
	layout->version = AYREI_TOPIC_VERSION;
	layout->header_bytes = HEADER_BYTES;
	memcpy(layout->generation, pair->generation, sizeof(layout->generation));
	layout->id = 1;
	layout->ring_bytes = pair->ring_bytes;
	layout->created_ns = ayrei_realtime_ns();
	layout->fenced = 1;
	publisher->lane.layout = layout;
	publisher->lane.ring = (char *)layout + HEADER_BYTES;
	publisher->lane.mask = pair->ring_bytes - 1;
	ayrei_lane_begin(&publisher->lane, publisher->lane.mask + 1, 0);
	return 0;
}

static int begin_cursor(struct ayre_subscriber *subscriber, int fd, const struct pair *pair)
{
	int result = ayrei_shared_map(&subscriber->map, fd, sizeof(struct ayrei_cursor_layout), 0,
	                              true, true);

	if (result < 0)
		return result;
	subscriber->cursor = subscriber->map.base;
	subscriber->id = 1;
	ayrei_subscriber_sign(subscriber, pair->generation);
	return 0;
}

/* --- the ends, once both files are what they shall be --- */

static int finish_publisher(struct ayre_publisher *publisher, int cursor, int own_bell,
                            int other_bell)
{
	int result = publisher->bell = ayrei_bell_take(own_bell, true);

	if (result >= 0)
		result = ayrei_publisher_begin(publisher);
	return result < 0 ? result
	                  : ayrei_members_adopt(&publisher->members,
	                                        publisher->lane.layout->generation, cursor,
	                                        other_bell, publisher->lane.position);
}

static int finish_subscriber(struct ayre_subscriber *subscriber, int lane, uint64_t ring_bytes,
                             int own_bell, int other_bell)
{
	int result = subscriber->bell = ayrei_bell_take(own_bell, true);

	subscriber->options.from = AYRE_FROM_OLDEST;
	if (result >= 0)
		result = ayrei_subscriber_listen(subscriber);
	return result < 0 ? result : ayrei_source_adopt(subscriber, lane, other_bell, ring_bytes);
}

/*
 * Fills the other file's first line too, through a map that is gone afterwards: its writer comes later.
 */
static int prepare_other(struct pair *pair, bool lane)
{
	struct ayre_publisher_options none_to_send = {.size = sizeof(none_to_send)};
	struct ayre_subscriber_options none_to_read = {.size = sizeof(none_to_read)};
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	int result;

	if (lane) {
		publisher = ayrei_publisher_new(&none_to_send);
		if (!publisher)
			return -ENOMEM;
		result = begin_lane(publisher, pair->lane, pair);
		ayre_publisher_close(publisher);
	} else {
		subscriber = ayrei_subscriber_new(&none_to_read);
		if (!subscriber)
			return -ENOMEM;
		result = begin_cursor(subscriber, pair->cursor, pair);
		ayre_subscriber_close(subscriber);
	}
	return result;
}

int ayre_publisher_open_pair(const struct ayre_publisher_options *options,
                             struct ayre_publisher **ret_publisher, struct ayre_ends *ret_ends,
                             struct ayre_error *error)
{
	struct ayre_publisher_options copy;
	struct ayre_publisher *publisher;
	struct pair pair;
	int result = ayrei_publisher_options(&copy, options);

	if (result < 0)
		return fail(error, result, "options");
	result = make_pair(copy.topic, &pair, error);
	if (result < 0)
		return result;
	publisher = ayrei_publisher_new(&copy);
	result = publisher ? begin_lane(publisher, pair.lane, &pair) : -ENOMEM;
	if (result == 0)
		result = prepare_other(&pair, false);
	/* After our own map: no other can be made that writes the lane. */
	if (result == 0)
		result = ayrei_memory_file_seal(pair.lane, true, false);
	if (result == 0)
		result = ayrei_memory_file_seal(pair.cursor, false, false);
	if (result == 0) {
		publisher->lossy = copy.topic && (copy.topic->flags & AYRE_TOPIC_LOSSY);
		result = finish_publisher(publisher, pair.cursor, pair.publisher_bell[0],
		                          pair.subscriber_bell[1]);
	}
	if (result < 0) {
		ayre_publisher_close(publisher);
		close_pair(&pair);
		return fail(error, result, "open");
	}
	*ret_ends = (struct ayre_ends){{
		[LANE] = ayrei_take_fd(&pair.lane),
		[CURSOR] = ayrei_take_fd(&pair.cursor),
		[OWN_BELL] = ayrei_take_fd(&pair.subscriber_bell[0]),
		[OTHER_BELL] = ayrei_take_fd(&pair.publisher_bell[1]),
	}};
	close_pair(&pair);
	*ret_publisher = publisher;
	return 0;
}

int ayre_subscriber_open_pair(const struct ayre_subscriber_options *options,
                              struct ayre_subscriber **ret_subscriber, struct ayre_ends *ret_ends,
                              struct ayre_error *error)
{
	struct ayre_subscriber_options copy;
	struct ayre_subscriber *subscriber;
	struct pair pair;
	int result = ayrei_subscriber_options(&copy, options);

	if (result < 0)
		return fail(error, result, "options");
	result = make_pair(copy.topic, &pair, error);
	if (result < 0)
		return result;
	/* The other end has nothing but the cursor to know it by. */
	if (copy.topic && (copy.topic->flags & AYRE_TOPIC_LOSSY))
		copy.flags |= AYRE_SUBSCRIBER_LOSSY;
	subscriber = ayrei_subscriber_new(&copy);
	result = subscriber ? begin_cursor(subscriber, pair.cursor, &pair) : -ENOMEM;
	if (result == 0)
		result = prepare_other(&pair, true);
	if (result == 0)
		result = ayrei_memory_file_seal(pair.cursor, true, false);
	if (result == 0)
		result = ayrei_memory_file_seal(pair.lane, false, false);
	if (result == 0)
		result = finish_subscriber(subscriber, pair.lane, pair.ring_bytes,
		                           pair.subscriber_bell[0], pair.publisher_bell[1]);
	if (result < 0) {
		ayre_subscriber_close(subscriber);
		close_pair(&pair);
		return fail(error, result, "open");
	}
	subscriber->options.topic = NULL;
	*ret_ends = (struct ayre_ends){{
		[LANE] = ayrei_take_fd(&pair.lane),
		[CURSOR] = ayrei_take_fd(&pair.cursor),
		[OWN_BELL] = ayrei_take_fd(&pair.publisher_bell[0]),
		[OTHER_BELL] = ayrei_take_fd(&pair.subscriber_bell[1]),
	}};
	close_pair(&pair);
	*ret_subscriber = subscriber;
	return 0;
}

/* --- where descriptors arrived --- */

/* What is mapped must not be cut away: a memory file that is sealed against it, of the right size. */
static int check_ends(const struct ayre_ends *ends, uint64_t *ret_ring_bytes)
{
	struct stat lane, cursor;
	int result = ayrei_file_status(ends->fds[LANE], &lane);

	if (result == 0)
		result = ayrei_file_status(ends->fds[CURSOR], &cursor);
	if (result < 0)
		return result;
	*ret_ring_bytes = (uint64_t)lane.st_size - HEADER_BYTES;
	if ((uint64_t)lane.st_size <= HEADER_BYTES || *ret_ring_bytes & (*ret_ring_bytes - 1) ||
	    *ret_ring_bytes < ayrei_page_bytes() ||
	    (uint64_t)cursor.st_size != sizeof(struct ayrei_cursor_layout))
		return -EPROTO;
	for (int i = LANE; i <= CURSOR; i++) {
		int seals = ayrei_memory_file_seals(ends->fds[i]);

		if (seals < 0)
			return seals;
		if (!(seals & AYREI_SEALED_SHRINK))
			return -EPROTO;
	}
	return 0;
}

static int open_publisher_ends(struct ayre_publisher *publisher, const struct ayre_ends *ends,
                               uint64_t ring_bytes)
{
	struct ayrei_lane_layout *layout;
	int result = ayrei_shared_map(&publisher->map, ends->fds[LANE], HEADER_BYTES, ring_bytes,
	                              true, true);

	if (result < 0)
		return result;
	layout = publisher->map.base;
	publisher->lane.layout = layout;
	publisher->lane.ring = (char *)layout + HEADER_BYTES;
	publisher->lane.mask = ring_bytes - 1;
	if (memcmp(layout->magic, AYREI_LANE_MAGIC, sizeof(layout->magic)) != 0 ||
	    layout->version != AYREI_TOPIC_VERSION || layout->ring_bytes != ring_bytes ||
	    ayrei_lane_recover(&publisher->lane, &publisher->was_closed) < 0)
		return -EPROTO;
	layout->publishers++;
	layout->pid = ayrei_own_process();
	layout->uid = ayrei_user();
	return finish_publisher(publisher, ends->fds[CURSOR], ends->fds[OWN_BELL],
	                        ends->fds[OTHER_BELL]);
}

int ayre_publisher_open_ends(const struct ayre_publisher_options *options,
                             const struct ayre_ends *ends, struct ayre_publisher **ret_publisher,
                             struct ayre_error *error)
{
	struct ayre_publisher_options copy;
	struct ayre_publisher *publisher;
	struct ayre_ends taken = *ends;
	uint64_t ring_bytes;
	int result = ayrei_publisher_options(&copy, options);

	if (result == 0)
		result = check_ends(ends, &ring_bytes);
	if (result < 0)
		return fail(error, result, "check");
	publisher = ayrei_publisher_new(&copy);
	result = publisher ? open_publisher_ends(publisher, ends, ring_bytes) : -ENOMEM;
	if (result < 0) {
		ayre_publisher_close(publisher);
		return fail(error, result, "open");
	}
	ayre_ends_close(&taken);
	*ret_publisher = publisher;
	return 0;
}

static int open_subscriber_ends(struct ayre_subscriber *subscriber, const struct ayre_ends *ends,
                                uint64_t ring_bytes)
{
	struct ayrei_cursor_layout *cursor;
	int result = ayrei_shared_map(&subscriber->map, ends->fds[CURSOR],
	                              sizeof(struct ayrei_cursor_layout), 0, true, true);

	if (result < 0)
		return result;
	cursor = subscriber->cursor = subscriber->map.base;
	if (memcmp(cursor->magic, AYREI_CURSOR_MAGIC, sizeof(cursor->magic)) != 0 ||
	    cursor->version != AYREI_TOPIC_VERSION)
		return -EPROTO;
	subscriber->id = cursor->id;
	cursor->pid = ayrei_own_process();
	cursor->uid = ayrei_user();
	return finish_subscriber(subscriber, ends->fds[LANE], ring_bytes, ends->fds[OWN_BELL],
	                         ends->fds[OTHER_BELL]);
}

int ayre_subscriber_open_ends(const struct ayre_subscriber_options *options,
                              const struct ayre_ends *ends, struct ayre_subscriber **ret_subscriber,
                              struct ayre_error *error)
{
	struct ayre_subscriber_options copy;
	struct ayre_subscriber *subscriber;
	struct ayre_ends taken = *ends;
	uint64_t ring_bytes;
	int result = ayrei_subscriber_options(&copy, options);

	if (result == 0)
		result = check_ends(ends, &ring_bytes);
	if (result < 0)
		return fail(error, result, "check");
	subscriber = ayrei_subscriber_new(&copy);
	result = subscriber ? open_subscriber_ends(subscriber, ends, ring_bytes) : -ENOMEM;
	if (result < 0) {
		ayre_subscriber_close(subscriber);
		return fail(error, result, "open");
	}
	subscriber->options.topic = NULL;
	ayre_ends_close(&taken);
	*ret_subscriber = subscriber;
	return 0;
}

void ayre_ends_close(struct ayre_ends *ends)
{
	for (int i = 0; i < AYRE_ENDS_COUNT; i++)
		ends->fds[i] = ayrei_file_close(ends->fds[i]);
}
