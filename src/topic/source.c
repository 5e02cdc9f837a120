/*
 * One lane, as its subscriber stands to it: found, followed, left.
 *
 * Invariant: a publisher has left when the kernel says so: nobody owns its lane, or nobody holds the
 * reading end of its bell. What is live has a bell that will tell of its end. What is left of its
 * messages is read first.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "sys/event.h"
#include "sys/file.h"
#include "topic/bell.h"
#include "topic/log.h"
#include "topic/subscriber.h"

/* --- our entry --- */

/* Entries that the cursor has room for. */
static size_t entry_room(const struct ayre_subscriber *subscriber)
{
	return (subscriber->map.bytes - offsetof(struct ayrei_cursor_layout, entries)) /
	       sizeof(struct ayrei_cursor_entry);
}

static struct ayrei_cursor_entry *entry_of(const struct ayre_subscriber *subscriber,
                                           const struct ayrei_source *source)
{
	return subscriber->cursor->entries + source->entry;
}

/* Twice as large, in place of what it was: publishers map it anew when they look for more entries. */
static int grow(struct ayre_subscriber *subscriber)
{
	struct ayrei_shared map = {0};
	size_t bytes = subscriber->map.bytes;
	int result;

	if (subscriber->topic.directory < 0)
		return -EMSGSIZE;
	result = ayrei_file_allocate(subscriber->file, 2 * bytes);
	if (result == 0)
		result = ayrei_shared_map(&map, subscriber->file, 2 * bytes, 0, true, false);
	if (result < 0)
		return result;
	ayrei_shared_unmap(&subscriber->map);
	subscriber->map = map;
	subscriber->cursor = map.base;
	return 0;
}

static int take_entry(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	struct ayrei_cursor_entry *entry;
	uint64_t count = subscriber->source_count;
	int result = count < entry_room(subscriber) ? 0 : grow(subscriber);

	if (result < 0)
		return result;
	source->entry = count;
	source->published = source->reader.position;
	entry = entry_of(subscriber, source);
	ayrei_store(&entry->position, source->reader.position);
	ayrei_store_release(&entry->lane, source->id);
	ayrei_store_release(&subscriber->cursor->entry_count, count + 1);
	return 0;
}

static int look_again(struct ayre_subscriber *subscriber, size_t index);

/*
 * Who waits may have taken the lane over since we heard of somebody, and rung us, which we have yet to hear.
 * The bell was made before the wait.
 */
static void find_successor(struct ayre_subscriber *subscriber, const struct ayrei_source *source)
{
	int result = 0;

	if (subscriber->topic.directory >= 0 &&
	    ayrei_load(&source->reader.layout->publishers) != source->generation)
		result = look_again(subscriber, (size_t)(source - subscriber->sources));
	if (result < 0)
		subscriber->trouble = result;
}

void ayrei_source_publish(struct ayrei_source *source, struct ayre_subscriber *subscriber)
{
	struct ayrei_cursor_entry *entry = entry_of(subscriber, source);
	uint64_t waiting;

	if (source->published != source->reader.position) {
		source->published = source->reader.position;
		ayrei_store(&entry->received, ayrei_source_received(source));
		ayrei_store(&entry->missed, source->missed);
		ayrei_store_release(&entry->position, source->reader.position);
	}
	/* Against a publisher that says it waits and looks a last time. */
	ayrei_fence_full();
	waiting = ayrei_load_acquire(&source->reader.layout->waiting);
	if (waiting && waiting != source->answered && source->reader.position >= waiting) {
		find_successor(subscriber, source);
		source->answered = waiting;
		ayrei_bell_ring(source->bell, AYREI_BELL_MESSAGE);
	}
}

/* --- found --- */

/* Where to begin. Of a lane that was made after we came, everything is new. */
static int seek(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	const struct ayre_subscriber_options *options = &subscriber->options;

	if (subscriber->is_durable)
		return ayrei_source_seek_log(subscriber, source,
		                             subscriber->has_looked ? AYRE_FROM_OLDEST
		                                                    : options->from,
		                             options->from_value);
	if (subscriber->has_looked)
		return ayrei_reader_seek_oldest(&source->reader);
	switch (options->from) {
	case AYRE_FROM_OLDEST:
		return ayrei_reader_seek_oldest(&source->reader);
	case AYRE_FROM_SEQUENCE:
		return ayrei_reader_seek_sequence(&source->reader, (uint64_t)options->from_value);
	case AYRE_FROM_TIME:
		return ayrei_reader_seek_time(&source->reader, options->from_value);
	default:
		return ayrei_reader_seek_next(&source->reader);
	}
}

static int make_room(struct ayre_subscriber *subscriber)
{
	size_t room = subscriber->source_room ? 2 * subscriber->source_room : 4;
	void *grown;

	if (subscriber->source_count < subscriber->source_room)
		return 0;
	grown = reallocarray(subscriber->sources, room, sizeof(*subscriber->sources));
	if (!grown)
		return -ENOMEM;
	subscriber->sources = grown;
	subscriber->source_room = room;
	return 0;
}

/*
 * The bell of a publisher, for ringing and for its hang-up. What has none is only read: it has gone, or
 * takes the lane just now, and then rings us when it has its bell.
 */
static int open_bell(struct ayre_subscriber *subscriber, struct ayrei_source *source, size_t index)
{
	char path[AYREI_PEER_PATH_BYTES];
	int result = ayrei_bell_open(ayrei_peer_path(&subscriber->topic, AYREI_PEER_PUBLISHER,
	                                             source->id, ".bell", path));

	if (result == -EMFILE || result == -ENFILE || result == -ENOMEM)
		return result;
	source->bell = result < 0 ? -1 : result;
	/* What we rang for, an earlier bell may have swallowed. */
	source->answered = 0;
	return source->bell < 0
	               ? 0
	               : ayrei_set_add(subscriber->set, source->bell, 0, (uint64_t)index + 1);
}

/*
 * Of a lane that has an owner, too, nothing would tell us the end if it has no bell. So it is left until
 * its publisher rings: one that takes the lane over, and has yet to make its bell, does so before it
 * sends. Others who have its lock clear away what it has left, and never ring.
 */
static enum ayrei_source_state state_of(const struct ayrei_source *source, bool is_owned)
{
	return is_owned && source->bell >= 0 ? AYREI_SOURCE_LIVE : AYREI_SOURCE_LEFT;
}

/* Adds a source whose map is there. Takes it; on failure it is let go. */
static int add(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	int result = make_room(subscriber);

	if (result == 0)
		result = seek(subscriber, source);
	if (result == 0)
		result = take_entry(subscriber, source);
	if (result < 0) {
		ayrei_source_let_go(subscriber, source);
		return result;
	}
	/* What was closed before we came, and has nothing for us, is not waited for. */
	source->counts = source->state == AYREI_SOURCE_LIVE || subscriber->has_looked ||
	                 ayrei_reader_header(&source->reader) != 0 || source->is_in_log;
	source->first = source->reader.sequence;
	/* All of a lane that was made after we came is for us. */
	if (subscriber->has_looked) {
		source->first = 0;
		source->missed = source->reader.sequence;
		subscriber->missed += source->missed;
	}
	/* It was left before we came: if nothing comes, nothing was lost. */
	source->closed_at = source->counts ? source->reader.closed_at : source->reader.position;
	subscriber->sources[subscriber->source_count++] = *source;
	ayrei_subscriber_settle(subscriber);
	return 0;
}

void ayrei_source_set_reader(struct ayrei_source *source, size_t header_bytes, uint64_t ring_bytes)
{
	source->reader.layout = source->map.base;
	source->reader.ring = (const char *)source->map.base + header_bytes;
	source->reader.mask = ring_bytes - 1;
}

/* One of somebody who may publish, and nothing that can be read: told once. */
static int refuse(struct ayre_subscriber *subscriber, uint64_t id)
{
	void *grown;

	for (size_t i = 0; i < subscriber->refused_count; i++)
		if (subscriber->refused[i] == id)
			return 0;
	grown = reallocarray(subscriber->refused, subscriber->refused_count + 1, sizeof(id));
	if (!grown)
		return -ENOMEM;
	subscriber->refused = grown;
	subscriber->refused[subscriber->refused_count++] = id;
	subscriber->broken_publisher = id;
	subscriber->trouble = -EPROTO;
	return 0;
}

/* What cannot be opened as a lane: does it matter whose it is? */
static int refuse_unopened(struct ayre_subscriber *subscriber, uint64_t id)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;

	ayrei_peer_path(&subscriber->topic, AYREI_PEER_PUBLISHER, id, "", path);
	if (ayrei_path_status(path, false, &status) < 0 ||
	    !ayrei_topic_may_publish(&subscriber->topic, &status))
		return 0;
	return refuse(subscriber, id);
}

/* A log whose ring is not there: the machine has started anew since. */
static int attach_log(struct ayre_subscriber *subscriber, uint64_t id)
{
	struct ayrei_source source = {.id = id, .bell = -1, .state = AYREI_SOURCE_LEFT};
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;
	int result =
		ayrei_path_status(ayrei_log_path(&subscriber->topic, id, path), false, &status);

	if (result < 0)
		return result == -ENOENT ? 0 : result;
	if (!S_ISREG(status.st_mode) || !ayrei_topic_may_publish(&subscriber->topic, &status))
		return 0;
	source.uid = status.st_uid;
	ayrei_source_enter_log(&source);
	return add(subscriber, &source);
}

/* Maps the lane. 1: it is there, and its file in *ret_fd; 0: it is nobody's; or a negative errno. */
static int map_lane(struct ayre_subscriber *subscriber, struct ayrei_source *source, int *ret_fd)
{
	const struct ayrei_topic_layout *topic = &subscriber->topic.layout;
	uint64_t id = source->id;
	struct stat status;
	ayrei_auto_fd int fd = ayrei_peer_open(&subscriber->topic, AYREI_PEER_PUBLISHER, id,
	                                       topic->header_bytes + topic->ring_bytes, &status);
	int result;

	/* Gone, or not from one who may publish. */
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd == -EPROTO ? refuse_unopened(subscriber, id) : fd;
	if (!ayrei_topic_may_publish(&subscriber->topic, &status))
		return 0;
	source->uid = status.st_uid;
	result = ayrei_shared_map(&source->map, fd, topic->header_bytes, topic->ring_bytes, false,
	                          false);
	/* Cut short meanwhile. */
	if (result < 0)
		return result == -ESTALE ? refuse(subscriber, id) : result;
	if (!ayrei_lane_is_of(source->map.base, topic->generation, id, topic->header_bytes,
	                      topic->ring_bytes)) {
		ayrei_shared_unmap(&source->map);
		return refuse(subscriber, id);
	}
	*ret_fd = ayrei_take_fd(&fd);
	return 1;
}

/* Negative: it cannot be listened to. 0: it is, or it is nobody. */
static int attach(struct ayre_subscriber *subscriber, uint64_t id, bool ring)
{
	const struct ayrei_topic_layout *topic = &subscriber->topic.layout;
	struct ayrei_source source = {.id = id, .bell = -1};
	ayrei_auto_fd int fd = -1;
	int result = map_lane(subscriber, &source, &fd), live;

	if (result <= 0)
		return result;
	ayrei_source_set_reader(&source, topic->header_bytes, topic->ring_bytes);
	result = open_bell(subscriber, &source, subscriber->source_count);
	if (result < 0) {
		ayrei_source_let_go(subscriber, &source);
		return result;
	}
	live = ayrei_file_is_owned(fd);
	if (live < 0) {
		ayrei_source_let_go(subscriber, &source);
		return live;
	}
	source.state = state_of(&source, live == 1);
	source.generation = ayrei_load(&source.reader.layout->publishers);
	if (ring)
		ayrei_bell_ring(source.bell, AYREI_BELL_JOIN);
	result = add(subscriber, &source);
	/* It lies from the beginning. */
	return result == -EPROTO ? refuse(subscriber, id) : result;
}

int ayrei_source_adopt(struct ayre_subscriber *subscriber, int lane, int bell, uint64_t ring_bytes)
{
	struct ayrei_source source = {.id = 1, .bell = -1};
	size_t header = sizeof(struct ayrei_lane_layout);
	int result = ayrei_shared_map(&source.map, lane, header, ring_bytes, false, true);

	if (result < 0)
		return result;
	ayrei_source_set_reader(&source, header, ring_bytes);
	if (!ayrei_lane_is_of(source.reader.layout, subscriber->cursor->generation, 1, header,
	                      ring_bytes)) {
		ayrei_shared_unmap(&source.map);
		return -EPROTO;
	}
	source.bell = ayrei_bell_take(bell, false);
	result = source.bell < 0 ? source.bell : ayrei_set_add(subscriber->set, source.bell, 0, 1);
	if (result < 0) {
		ayrei_source_let_go(subscriber, &source);
		return result;
	}
	return add(subscriber, &source);
}

/* --- left --- */

static void close_bell(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	if (source->bell >= 0)
		(void)!ayrei_set_remove(subscriber->set, source->bell);
	source->bell = ayrei_file_close(source->bell);
}

void ayrei_source_let_go(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	close_bell(subscriber, source);
	ayrei_extent_close(&source->extent);
	ayrei_shared_unmap(&source->map);
}

void ayrei_source_check(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	int result = 0;

	/* It would tell of nothing else from here on, and go on telling it. */
	close_bell(subscriber, source);
	if (source->state != AYREI_SOURCE_LIVE)
		return;
	/* Without a name the hang-up is the kernel's word: nobody else has the reading end. */
	if (subscriber->topic.directory >= 0 &&
	    ayrei_peer_is_live(&subscriber->topic, AYREI_PEER_PUBLISHER, source->id) == 1)
		result = open_bell(subscriber, source, (size_t)(source - subscriber->sources));
	source->state = state_of(source, source->bell >= 0);
	/* Files that it will not use again. Others' are mapped anew. */
	if (source->state != AYREI_SOURCE_LIVE)
		ayrei_subscriber_forget_maps(subscriber);
	if (result < 0)
		subscriber->trouble = result;
}

int ayrei_source_break(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	source->state = AYREI_SOURCE_BROKEN;
	source->known_until = 0;
	subscriber->broken_publisher = source->id;
	close_bell(subscriber, source);
	ayrei_subscriber_forget_maps(subscriber);
	return -EPROTO;
}

int ayrei_source_catch_up(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	uint64_t missed;
	int result;

	if (subscriber->is_durable) {
		ayrei_source_enter_log(source);
		return 0;
	}
	result = ayrei_reader_catch_up(&source->reader, &missed);
	if (result < 0)
		return ayrei_source_break(subscriber, source);
	source->missed += missed;
	subscriber->missed += missed;
	ayrei_source_publish(source, subscriber);
	return 0;
}

/* --- the directory --- */

struct look {
	struct ayre_subscriber *subscriber;
	bool ring;
};

/*
 * A lane that was left alone because its publisher broke the format, and has another one, who walked to its
 * end: what is there is read again from the oldest. Or its publisher would wait for us for ever.
 */
static bool forgive(struct ayrei_source *source)
{
	uint64_t received = ayrei_source_received(source);

	if (ayrei_shared_is_lost(&source->map) || ayrei_reader_seek_oldest(&source->reader) < 0)
		return false;
	source->first = source->reader.sequence - source->missed - received;
	return true;
}

/* Of a log that had no ring: if it has one now, that goes on where the log ends. */
static int take_ring(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	ayrei_auto_fd int fd = -1;
	int result;

	if (ayrei_source_layout(source))
		return 0;
	result = map_lane(subscriber, source, &fd);
	if (result == 1)
		source->reader.layout = source->map.base;
	return result < 0 ? result : 0;
}

/* A lane that we know has a publisher again, or another one. */
static int look_again(struct ayre_subscriber *subscriber, size_t index)
{
	struct ayrei_source *source = &subscriber->sources[index];
	uint64_t generation;
	int result = take_ring(subscriber, source);

	if (result < 0)
		return result;
	generation = ayrei_load(&source->reader.layout->publishers);
	if (source->state == AYREI_SOURCE_BROKEN && generation == source->generation)
		return 0;
	/* Also if it has gone again: what it sent came from one that was seen. */
	source->counts |= generation != source->generation;
	if (source->state == AYREI_SOURCE_LIVE && generation == source->generation)
		return 0;
	result = ayrei_peer_is_live(&subscriber->topic, AYREI_PEER_PUBLISHER, source->id);
	if (result != 1)
		/* That we cannot ask, for want of descriptors say, is not that it has gone. */
		return result == -ENOENT || result == -EPROTO ? 0 : result;
	source->generation = generation;
	if (source->state == AYREI_SOURCE_BROKEN && !forgive(source))
		return 0;
	source->counts = true;
	close_bell(subscriber, source);
	result = open_bell(subscriber, source, index);
	source->state = state_of(source, true);
	return result;
}

static size_t find_source(const struct ayre_subscriber *subscriber, uint64_t id)
{
	size_t i = 0;

	while (i < subscriber->source_count && subscriber->sources[i].id != id)
		i++;
	return i;
}

/* Those that have a ring are known by now. */
static int visit_log(const struct ayrei_log_name *name, void *context)
{
	struct ayre_subscriber *subscriber = context;

	if (name->is_extent || find_source(subscriber, name->id) < subscriber->source_count)
		return 0;
	return attach_log(subscriber, name->id);
}

static int visit(const struct ayrei_peer_name *name, void *context)
{
	const struct look *look = context;
	struct ayre_subscriber *subscriber = look->subscriber;
	size_t i;

	if (name->kind != AYREI_PEER_PUBLISHER || name->suffix[0])
		return 0;
	i = find_source(subscriber, name->id);
	if (i == subscriber->source_count)
		return attach(subscriber, name->id, look->ring);
	if (look->ring)
		ayrei_bell_ring(subscriber->sources[i].bell, AYREI_BELL_JOIN);
	return look_again(subscriber, i);
}

int ayrei_subscriber_look(struct ayre_subscriber *subscriber, bool ring)
{
	struct look look = {subscriber, ring};
	int result;

	if (subscriber->topic.directory < 0)
		return 0;
	/* Before: what comes after this is seen as another change. */
	subscriber->join_seen = ayrei_load_acquire(subscriber->join);
	result = ayrei_topic_visit(&subscriber->topic, visit, &look);
	/* Once: whoever comes later has a ring, in memory. */
	if (result == 0 && subscriber->is_durable && !subscriber->has_looked)
		result = ayrei_log_visit(&subscriber->topic, visit_log, subscriber);
	subscriber->looks_again = result < 0;
	if (result == 0)
		subscriber->has_looked = true;
	return result;
}

void ayrei_subscriber_arrive(struct ayre_subscriber *subscriber)
{
	/* Nobody waits for us: then it is for us to count from where we began. */
	if (!subscriber->waited_for)
		return;
	for (size_t i = 0; i < subscriber->source_count; i++) {
		struct ayrei_source *source = &subscriber->sources[i];

		if (source->state == AYREI_SOURCE_BROKEN)
			continue;
		if (!ayrei_reader_is_intact(&source->reader, source->reader.position) &&
		    ayrei_reader_seek_oldest(&source->reader) < 0) {
			(void)!ayrei_source_break(subscriber, source);
			continue;
		}
		source->first = source->reader.sequence;
		source->missed = 0;
		ayrei_source_publish(source, subscriber);
	}
	subscriber->missed = 0;
}
