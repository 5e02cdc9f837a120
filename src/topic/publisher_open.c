/*
 * Taking a lane, and letting it go.
 *
 * A lane that its publisher has left, closed or dead, is taken over by the next one of the same user,
 * with what is in it. So a topic has as many lanes as it has had publishers at once, and not as
 * it has had in all. Nobody else may write the file: its lock is taken before it is looked at, and its
 * dead owner's last step is found by walking (lane.h).
 *
 * A publisher and a subscriber who open at the same time find each other: each gives its own file its name
 * before it looks through the directory for the other's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "sys/cpu.h"
#include "sys/event.h"
#include "sys/map.h"
#include "sys/pipe.h"
#include "sys/system.h"
#include "topic/bell.h"
#include "topic/publisher.h"

#define DEFAULT_LARGE ((uint64_t)64 << 20)

/*
 * So many lanes are tried before a new one is made: to look is work, and a new one is memory. The first
 * half as the directory has them, which are the newest; the others by chance, so that many who come at
 * once do not all try the same ones, find them taken, and make more and more.
 */
#define TRIES  16u
#define NEWEST (TRIES / 2)

int ayrei_publisher_options(struct ayre_publisher_options *ret_options,
                            const struct ayre_publisher_options *given)
{
	const uint32_t known =
		AYRE_PUBLISHER_EXISTING | AYRE_PUBLISHER_STAMP | AYRE_PUBLISHER_THREAD;
	int result = ayrei_options_copy(ret_options, sizeof(*ret_options), given);

	return result == 0 && ret_options->flags & ~known ? -EINVAL : result;
}

struct ayre_publisher *ayrei_publisher_new(const struct ayre_publisher_options *options)
{
	struct ayre_publisher *publisher = calloc(1, sizeof(*publisher));

	if (!publisher)
		return NULL;
	publisher->topic = AYREI_NO_TOPIC;
	publisher->file = -1;
	publisher->bell = -1;
	publisher->draft.fd = -1;
	ayrei_journal_init(&publisher->journal);
	publisher->join = &publisher->no_join;
	publisher->stamps = options->flags & AYRE_PUBLISHER_STAMP;
	publisher->wants_thread = options->flags & AYRE_PUBLISHER_THREAD;
	publisher->large_bytes = options->large_bytes;
	publisher->disk_room = UINT64_MAX;
	ayrei_spin_init(&publisher->spin, options->spin_ns);
	ayrei_members_init(&publisher->members);
	return publisher;
}

/* In a topic that was removed under us, those we know are all there are. */
static void take_leave(const struct ayre_publisher *publisher)
{
	ayrei_members_take_leave(&publisher->members);
	if (publisher->topic.directory >= 0)
		ayrei_topic_take_leave(&publisher->topic, AYREI_PEER_SUBSCRIBER);
}

/*
 * To close the file is not enough: a child that was forked meanwhile has it too, and would keep us alive.
 * Nothing is written once the lane is disowned: others take it from there on.
 */
static void let_go(struct ayre_publisher *publisher)
{
	ayrei_shared_unmap(&publisher->map);
	if (publisher->file >= 0)
		(void)!ayrei_file_disown(publisher->file);
	if (ayrei_bell_close(publisher->bell))
		take_leave(publisher);
	ayrei_members_fini(&publisher->members);
	ayrei_larges_fini(&publisher->larges);
	ayrei_shared_unmap(&publisher->join_map);
	ayrei_file_close(publisher->file);
	ayrei_journal_abandon(&publisher->journal);
	ayrei_topic_close(&publisher->topic);
	free(publisher);
}

/* --- a lane --- */

static int map_lane(struct ayre_publisher *publisher, int fd)
{
	const struct ayrei_topic_layout *layout = &publisher->topic.layout;
	int result = ayrei_shared_map(&publisher->map, fd, layout->header_bytes, layout->ring_bytes,
	                              true, false);

	if (result < 0)
		return result;
	publisher->lane.layout = publisher->map.base;
	publisher->lane.ring = (char *)publisher->map.base + layout->header_bytes;
	publisher->lane.mask = layout->ring_bytes - 1;
	return 0;
}

struct search {
	uint64_t ids[TRIES];
	size_t seen;
	uint64_t random; /* not 0 */
};

static uint64_t draw(struct search *search, uint64_t bound)
{
	search->random ^= search->random << 13;
	search->random ^= search->random >> 7;
	search->random ^= search->random << 17;
	return search->random % bound;
}

/* Each of those that are not among the newest has the same chance of being chosen. */
static int choose(const struct ayrei_peer_name *name, void *context)
{
	struct search *search = context;
	uint64_t place;

	if (name->kind != AYREI_PEER_PUBLISHER || name->suffix[0])
		return 0;
	place = search->seen < TRIES ? search->seen
	                             : NEWEST + draw(search, search->seen - NEWEST + 1);
	if (place < TRIES)
		search->ids[place] = name->id;
	search->seen++;
	return 0;
}

/* Is the name still that of the file whose lock we have, and that file ours? */
static bool is_named(const struct ayrei_topic *topic, uint64_t id, int fd)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;

	ayrei_peer_path(topic, AYREI_PEER_PUBLISHER, id, "", path);
	return ayrei_file_is_named(fd, path, false) == 1 && ayrei_file_status(fd, &status) == 0 &&
	       status.st_uid == ayrei_user();
}

static int draw_id(struct ayrei_lane_layout *layout)
{
	int result = 0;

	layout->id = 0;
	while (result == 0 && layout->id == 0)
		result = ayrei_random(&layout->id, sizeof(layout->id));
	return result;
}

/* So often may somebody clear the bell away before it is ours. */
#define ATTEMPTS 16

/* draws: the lane has no name yet, and gets an id. */
static int make_bell(struct ayre_publisher *publisher, bool draws, struct ayre_error *error)
{
	struct ayrei_lane_layout *layout = publisher->lane.layout;
	char path[AYREI_PEER_PATH_BYTES];
	int result = -EBUSY;

	for (int i = 0; i < ATTEMPTS && result == -EBUSY; i++) {
		result = draws ? draw_id(layout) : 0;
		if (result == 0)
			result = publisher->bell = ayrei_bell_make(
				ayrei_peer_path(&publisher->topic, AYREI_PEER_PUBLISHER, layout->id,
			                        ".bell", path));
	}
	return result < 0 ? ayrei_fail(error, result, "bell", publisher->topic.label, NULL) : 0;
}

/* What is mapped: 1: it is taken; 0: it is no lane; or why not. */
static int try_map(struct ayre_publisher *publisher, uint64_t id)
{
	const struct ayrei_topic_layout *topic = &publisher->topic.layout;
	int result = 0;

	if (ayrei_lane_is_of(publisher->lane.layout, topic->generation, id, topic->header_bytes,
	                     topic->ring_bytes) &&
	    ayrei_lane_recover(&publisher->lane, &publisher->was_closed) == 0)
		result = 1;
	if (result == 1 &&
	    ayrei_larges_recover(&publisher->larges, &publisher->topic, &publisher->lane) < 0)
		result = -EIO;
	/* Nor is one taken whose bell cannot be made: somebody else has put something there. */
	if (result == 1 && make_bell(publisher, false, NULL) < 0)
		result = -EBUSY;
	if (result != 1) {
		ayrei_larges_fini(&publisher->larges);
		ayrei_shared_unmap(&publisher->map);
	}
	return result;
}

int ayrei_publisher_try_lane(struct ayre_publisher *publisher, uint64_t id)
{
	const struct ayrei_topic_layout *topic = &publisher->topic.layout;
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd = -1;
	struct stat status;
	int result;

	ayrei_peer_path(&publisher->topic, AYREI_PEER_PUBLISHER, id, "", path);
	result = ayrei_path_status(path, false, &status);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	if (status.st_uid != ayrei_user() || !S_ISREG(status.st_mode) ||
	    (uint64_t)status.st_size != topic->header_bytes + topic->ring_bytes)
		return 0;
	fd = ayrei_file_open(path, O_RDWR | O_NOFOLLOW, 0);
	result = fd < 0 ? fd : ayrei_file_try_own(fd);
	if (result == 0 && !is_named(&publisher->topic, id, fd))
		result = -EBUSY;
	if (result == 0)
		result = map_lane(publisher, fd);
	if (result == 0)
		result = try_map(publisher, id);
	if (result == 1)
		publisher->file = ayrei_take_fd(&fd);
	return result;
}

static void remove_bell(const struct ayre_publisher *publisher)
{
	char path[AYREI_PEER_PATH_BYTES];

	if (publisher->bell >= 0)
		(void)!ayrei_file_unlink(ayrei_peer_path(&publisher->topic, AYREI_PEER_PUBLISHER,
		                                         publisher->lane.layout->id, ".bell",
		                                         path));
}

void ayrei_publisher_drop_lane(struct ayre_publisher *publisher)
{
	remove_bell(publisher);
	if (publisher->file >= 0)
		(void)!ayrei_file_disown(publisher->file);
	publisher->file = ayrei_file_close(publisher->file);
	(void)ayrei_bell_close(publisher->bell);
	publisher->bell = -1;
	ayrei_larges_fini(&publisher->larges);
	ayrei_shared_unmap(&publisher->map);
	publisher->lane = (struct ayrei_lane){.ring = NULL};
}

static void sign(struct ayrei_lane_layout *layout)
{
	layout->publishers++;
	layout->opened_ns = ayrei_realtime_ns();
	layout->pid = ayrei_own_process();
	layout->uid = ayrei_user();
	ayrei_store(&layout->waiting, 0);
	ayrei_store(&layout->fenced, 1);
}

static void begin_layout(struct ayre_publisher *publisher, const struct ayrei_new_lane *what)
{
	const struct ayrei_topic_layout *topic = &publisher->topic.layout;
	struct ayrei_lane_layout *layout = publisher->lane.layout;

	memcpy(layout->magic, AYREI_LANE_MAGIC, sizeof(layout->magic));
	layout->version = AYREI_TOPIC_VERSION;
	layout->header_bytes = topic->header_bytes;
	memcpy(layout->generation, topic->generation, sizeof(layout->generation));
	layout->ring_bytes = topic->ring_bytes;
	layout->created_ns = ayrei_realtime_ns();
	layout->id = what->id;
	ayrei_lane_begin(&publisher->lane, what->position ? what->position : topic->ring_bytes,
	                 what->sequence);
	sign(layout);
}

static int check_permission(const struct ayre_publisher *publisher, int fd,
                            struct ayre_error *error)
{
	const struct ayrei_topic_layout *layout = &publisher->topic.layout;
	struct stat status;
	int result;

	result = ayrei_file_status(fd, &status);
	if (result == 0 && !ayrei_topic_may_publish(&publisher->topic, &status))
		return ayrei_fail(error, -EACCES, "publish", publisher->topic.label,
		                  "this user may subscribe, but not publish (its mode is %04o)",
		                  (unsigned int)layout->mode);
	return result < 0 ? ayrei_fail(error, result, "create", publisher->topic.label, NULL) : 0;
}

int ayrei_publisher_make_lane(struct ayre_publisher *publisher, const struct ayrei_new_lane *what,
                              struct ayre_error *error)
{
	const struct ayrei_topic *topic = &publisher->topic;
	ayrei_auto_fd int fd = ayrei_peer_make(
		topic, topic->layout.header_bytes + topic->layout.ring_bytes, error);
	char path[AYREI_PEER_PATH_BYTES];
	int result = fd < 0 ? fd : check_permission(publisher, fd, error);

	if (result < 0)
		return result;
	result = map_lane(publisher, fd);
	if (result < 0)
		return ayrei_fail(error, result, "map", topic->label, NULL);
	begin_layout(publisher, what);
	/* The bell first: who finds the lane finds it. */
	result = make_bell(publisher, what->id == 0, error);
	if (result < 0)
		return result;
	if (what->finish)
		result = what->finish(publisher, what->context);
	if (result == 0)
		result = ayrei_file_link_unnamed(fd, ayrei_peer_path(topic, AYREI_PEER_PUBLISHER,
		                                                     publisher->lane.layout->id, "",
		                                                     path));
	if (result < 0) {
		remove_bell(publisher);
		return ayrei_fail(error, result, "create", topic->label, NULL);
	}
	publisher->file = ayrei_take_fd(&fd);
	return 0;
}

/* A record that is no message: the lane's publisher has gone. Its room was kept (AYREI_LANE_SLACK). */
static void end_lane(struct ayre_publisher *publisher, unsigned int flags)
{
	uint64_t header = ayrei_record_pack(publisher->checks ? sizeof(uint64_t) : 0,
	                                    AYREI_RECORD_CLOSED, flags);

	if (publisher->checks)
		header = ayrei_publisher_mark(publisher, publisher->lane.position, header);
	ayrei_lane_commit(&publisher->lane, header);
}

/*
 * Who reads on from the dead one's messages to ours would never learn of its death. The room is what it
 * kept to say that it closes.
 */
static void say_died(struct ayre_publisher *publisher)
{
	if (publisher->was_closed)
		return;
	end_lane(publisher, AYREI_RECORD_DIED);
	publisher->was_closed = true;
}

int ayrei_publisher_succeed(struct ayre_publisher *publisher, struct ayre_error *error)
{
	sign(publisher->lane.layout);
	say_died(publisher);
	return check_permission(publisher, publisher->file, error);
}

static int take_lane(struct ayre_publisher *publisher, struct ayre_error *error)
{
	struct search search = {.seen = 0};
	int result = ayrei_random(&search.random, sizeof(search.random));

	search.random |= 1;
	if (result == 0)
		result = ayrei_topic_visit(&publisher->topic, choose, &search);
	if (result < 0)
		return ayrei_fail(error, result, "look", publisher->topic.label, NULL);
	for (size_t i = 0; i < search.seen && i < TRIES; i++) {
		if (ayrei_publisher_try_lane(publisher, search.ids[i]) != 1)
			continue;
		return ayrei_publisher_succeed(publisher, error);
	}
	return ayrei_publisher_make_lane(publisher, &(struct ayrei_new_lane){.id = 0}, error);
}

/* --- the rest --- */

int ayrei_publisher_begin(struct ayre_publisher *publisher)
{
	struct ayrei_members *members = &publisher->members;
	uint64_t ring = publisher->lane.mask + 1;
	int result = members->set = ayrei_set_open();

	if (result >= 0)
		result = ayrei_set_add(members->set, publisher->bell, AYREI_READABLE,
		                       AYREI_OWN_BELL);
	if (result < 0)
		return result;
	publisher->message_max = ayrei_record_bytes_max(ring) -
	                         (publisher->stamps ? sizeof(int64_t) : 0) -
	                         (publisher->checks ? sizeof(uint64_t) : 0);
	publisher->may_unfence = ayrei_barrier_register() == 0;
	publisher->fenced = true;
	ayrei_publisher_settle(publisher);
	if (publisher->large_bytes == 0)
		publisher->large_bytes = 4 * ring > DEFAULT_LARGE ? 4 * ring : DEFAULT_LARGE;
	return 0;
}

/* One that was made for nothing. Who has found it meanwhile finds that it was closed. */
static void remove_lane(const struct ayre_publisher *publisher)
{
	char path[AYREI_PEER_PATH_BYTES];

	if (publisher->lane.layout->publishers == 1 && !publisher->checks)
		(void)!ayrei_file_unlink(ayrei_peer_path(&publisher->topic, AYREI_PEER_PUBLISHER,
		                                         publisher->lane.layout->id, "", path));
}

static int open_named(struct ayre_publisher *publisher, struct ayre_error *error)
{
	const char *label = publisher->topic.label;
	int result =
		ayrei_topic_map_join(&publisher->topic, &publisher->join_map, &publisher->join);

	if (result < 0)
		return ayrei_fail(error, result, "join", label,
		                  "its file 'join' is missing or damaged: remove the topic");
	/* Who is slow reads from the log what is no longer in the ring. */
	publisher->lossy = publisher->topic.layout.policy & AYREI_POLICY_LOSSY ||
	                   ayrei_topic_is_durable(&publisher->topic);
	result = ayrei_topic_is_durable(&publisher->topic)
	                 ? ayrei_publisher_take_log(publisher, error)
	                 : take_lane(publisher, error);
	if (result < 0)
		return result;
	/* For subscribers that are never idle, and never look at their bells. */
	result = ayrei_topic_announce(&publisher->topic);
	if (result == 0)
		result = ayrei_publisher_begin(publisher);
	if (result == 0)
		result = ayrei_publisher_begin_log(publisher);
	if (result < 0) {
		ayrei_fail(error, result, "wait", label, NULL);
	} else {
		result = ayrei_publisher_look(publisher, true);
		if (result < 0)
			ayrei_fail(error, result, "look", label, "a subscriber cannot be known");
	}
	if (result < 0)
		remove_lane(publisher);
	return result;
}

int ayrei_publisher_open_in(const struct ayre_publisher_options *options, struct ayrei_topic *topic,
                            struct ayre_publisher **ret_publisher, struct ayre_error *error)
{
	struct ayre_publisher *publisher = ayrei_publisher_new(options);
	int result;

	if (!publisher) {
		result = ayrei_fail(error, -ENOMEM, "handle", topic->label, NULL);
		ayrei_topic_close(topic);
		return result;
	}
	publisher->topic = *topic;
	*topic = AYREI_NO_TOPIC;
	result = open_named(publisher, error);
	if (result < 0) {
		ayre_publisher_close(publisher);
		return result;
	}
	*ret_publisher = publisher;
	return 0;
}

int ayre_publisher_open(const struct ayre_publisher_options *options, const char *name,
                        struct ayre_publisher **ret_publisher, struct ayre_error *error)
{
	struct ayre_publisher_options copy;
	struct ayrei_topic topic;
	int result;

	if (ayrei_publisher_options(&copy, options) < 0)
		return ayrei_fail(error, -EINVAL, "options", name ? name : "topic",
		                  "their size is not set, or a flag is unknown");
	result = ayrei_topic_open(&topic, copy.topic, name, copy.flags & AYRE_PUBLISHER_EXISTING,
	                          error);
	return result < 0 ? result : ayrei_publisher_open_in(&copy, &topic, ret_publisher, error);
}

/* --- closing --- */

/* A lane that says so already is not told again. */
static void say_closed(struct ayre_publisher *publisher)
{
	if (publisher->was_closed || !publisher->lane.layout)
		return;
	end_lane(publisher, 0);
	ayrei_fence_full();
	ayrei_publisher_attend(publisher);
}

static void drop_spares(struct ayre_publisher *publisher)
{
	struct ayrei_large_place place = ayrei_publisher_place(publisher);

	ayrei_publisher_give_up(publisher);
	ayrei_larges_drop_spares(&publisher->larges, &place);
}

void ayre_publisher_close(struct ayre_publisher *publisher)
{
	int saved = errno;

	if (!publisher)
		return;
	if (publisher->members.set >= 0)
		say_closed(publisher);
	ayrei_publisher_end_log(publisher);
	if (publisher->topic.directory >= 0 && publisher->lane.layout && publisher->file >= 0) {
		remove_bell(publisher);
		drop_spares(publisher);
	}
	let_go(publisher);
	errno = saved;
}

int ayre_publisher_get_info(const struct ayre_publisher *publisher,
                            struct ayre_publisher_info *ret_info)
{
	struct ayre_publisher_info info = {
		.id = publisher->lane.layout->id,
		.messages = publisher->lane.sequence,
		.ring_bytes = publisher->lane.mask + 1,
		.subscribers = (uint32_t)publisher->members.count,
		.wakes = publisher->members.wakes,
		.waits = publisher->waits,
		.safe_messages = ayrei_publisher_safe_sequence(publisher),
		.sync = publisher->journal.sync,
	};

	return ayrei_result_copy(ret_info, &info, sizeof(info));
}
