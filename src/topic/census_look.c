/*
 * One topic: its publishers and subscribers, and how far each is.
 *
 * Cursors are read into copies first, and then one lane after the other is mapped, looked at, and let go:
 * a topic of ten thousand lanes takes no more address space than one.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "topic/census.h"

struct ayre_topic_look {
	struct ayre_topic_entry entry;
	struct ayre_topic_publisher *publishers;
	struct ayre_topic_subscriber *subscribers;
	size_t publisher_count, subscriber_count;
};

/* --- subscribers --- */

/* More lanes than a cursor can be of use for: a file that claims more is not read on. */
#define ENTRIES_MAX ((uint64_t)1 << 20)

int ayrei_lag_compare(const void *left, const void *right)
{
	const struct ayre_topic_lag *a = left, *b = right;

	return a->publisher < b->publisher ? -1 : a->publisher > b->publisher;
}

static bool is_cursor(const struct ayrei_cursor_layout *cursor, const struct ayrei_topic *topic,
                      uint64_t id)
{
	return memcmp(cursor->magic, AYREI_CURSOR_MAGIC, sizeof(cursor->magic)) == 0 &&
	       cursor->version == AYREI_TOPIC_VERSION &&
	       cursor->header_bytes == offsetof(struct ayrei_cursor_layout, entries) &&
	       memcmp(cursor->generation, topic->layout.generation, sizeof(cursor->generation)) ==
	               0 &&
	       cursor->id == id;
}

/* The entries that are in use, as lags of which only the positions and counts are known. */
static int read_entries(struct ayre_topic_subscriber *subscriber, int fd, uint64_t file_bytes,
                        uint64_t count)
{
	uint64_t begin = offsetof(struct ayrei_cursor_layout, entries);
	uint64_t room =
		file_bytes > begin ? (file_bytes - begin) / sizeof(struct ayrei_cursor_entry) : 0;
	ayrei_auto_free struct ayrei_cursor_entry *entries = NULL;
	struct ayre_topic_lag *lags;
	ssize_t got;

	count = count < room ? count : room;
	count = count < ENTRIES_MAX ? count : ENTRIES_MAX;
	if (count == 0)
		return 0;
	entries = calloc(count, sizeof(*entries));
	lags = calloc(count, sizeof(*lags));
	subscriber->lags = lags;
	if (!entries || !lags)
		return -ENOMEM;
	got = ayrei_file_read_at(fd, entries, count * sizeof(*entries), begin);
	for (size_t i = 0; got > 0 && i < (size_t)got / sizeof(*entries); i++) {
		if (entries[i].lane == 0)
			continue;
		lags[subscriber->lag_count++] = (struct ayre_topic_lag){
			.publisher = entries[i].lane,
			.position = entries[i].position,
			.received = entries[i].received,
			.missed = entries[i].missed,
		};
		subscriber->received += entries[i].received;
		subscriber->missed += entries[i].missed;
	}
	qsort(lags, subscriber->lag_count, sizeof(*lags), ayrei_lag_compare);
	return got < 0 ? (int)got : 0;
}

static int read_cursor(struct ayre_topic_subscriber *subscriber, const struct ayrei_topic *topic,
                       uint64_t id)
{
	struct ayrei_cursor_layout cursor;
	struct stat status;
	ayrei_auto_fd int fd = ayrei_peer_open(topic, AYREI_PEER_SUBSCRIBER, id, 0, &status);
	ssize_t got;

	*subscriber = (struct ayre_topic_subscriber){.id = id};
	if (fd < 0)
		return fd;
	subscriber->uid = status.st_uid;
	subscriber->live = ayrei_file_is_owned(fd) == 1;
	got = ayrei_file_read_at(fd, &cursor, sizeof(cursor), 0);
	if (got < 0)
		return (int)got;
	if (got < (ssize_t)sizeof(cursor) || !is_cursor(&cursor, topic, id)) {
		subscriber->problem = "it is damaged";
		return 0;
	}
	subscriber->pid = cursor.pid;
	subscriber->lossy = cursor.flags & AYREI_CURSOR_LOSSY ||
	                    topic->layout.policy & AYREI_POLICY_LOSSY ||
	                    !ayrei_topic_may_publish(topic, &status);
	subscriber->asleep = *ayrei_cursor_ticket(&cursor, id) % 2 == 1;
	subscriber->opened_ns = cursor.opened_ns;
	return read_entries(subscriber, fd, (uint64_t)status.st_size, cursor.entry_count);
}

/* --- all of them --- */

/* Gone since the directory was read, or no file that anybody would believe. */
static bool is_nobody(int result)
{
	return result == -ENOENT || result == -EPROTO || result == -EACCES;
}

static int read_cursors(struct ayre_topic_look *look, const struct ayrei_topic *topic,
                        const struct ayrei_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		struct ayre_topic_subscriber *subscriber =
			&look->subscribers[look->subscriber_count];
		int result;

		if (files->all[i].kind != AYREI_PEER_SUBSCRIBER ||
		    files->all[i].part != AYREI_PART_SELF)
			continue;
		result = read_cursor(subscriber, topic, files->all[i].id);
		if (result < 0 && !is_nobody(result))
			return result;
		look->subscriber_count += result == 0;
	}
	return 0;
}

static int read_lanes(struct ayre_topic_look *look, const struct ayrei_topic *topic,
                      const struct ayrei_files *files)
{
	for (size_t i = 0; i < files->count;) {
		const struct ayrei_file_of_topic *first = &files->all[i];
		size_t next = ayrei_files_next_peer(files, i);
		int result = -ENOENT;

		if (first->kind == AYREI_PEER_PUBLISHER)
			result = ayrei_look_publisher(&look->publishers[look->publisher_count],
			                              look->subscribers, look->subscriber_count,
			                              topic, first, next - i);
		if (result < 0 && !is_nobody(result))
			return result;
		look->publisher_count += result == 0;
		i = next;
	}
	return 0;
}

static int read_topic(struct ayre_topic_look *look, const struct ayrei_topic *topic)
{
	struct ayrei_files files;
	int result = ayrei_files_read(&files, topic);

	if (result < 0)
		return result;
	look->publishers = calloc(files.count + 1, sizeof(*look->publishers));
	look->subscribers = calloc(files.count + 1, sizeof(*look->subscribers));
	result = look->publishers && look->subscribers ? 0 : -ENOMEM;
	if (result == 0)
		result = ayrei_entry_fill(&look->entry, topic, &files, NULL);
	if (result == 0)
		result = read_cursors(look, topic, &files);
	if (result == 0)
		result = read_lanes(look, topic, &files);
	ayrei_files_fini(&files);
	return result;
}

int ayre_topic_look_new(const char *name, struct ayre_topic_look **ret_look,
                        struct ayre_error *error)
{
	struct ayre_topic_look *look;
	struct ayrei_topic topic;
	int result = ayrei_topic_look(&topic, name, error);

	if (result < 0)
		return result;
	look = calloc(1, sizeof(*look));
	result = look ? read_topic(look, &topic) : -ENOMEM;
	ayrei_topic_close(&topic);
	if (result < 0) {
		ayre_topic_look_free(look);
		return ayrei_fail(error, result, "look", name, NULL);
	}
	*ret_look = look;
	return 0;
}

void ayre_topic_look_free(struct ayre_topic_look *look)
{
	int saved = errno;

	if (!look)
		return;
	ayrei_entry_fini(&look->entry);
	/* The last one may have been read half, and not been counted. */
	for (size_t i = 0; look->subscribers && i <= look->subscriber_count; i++)
		free((void *)look->subscribers[i].lags);
	free(look->publishers);
	free(look->subscribers);
	free(look);
	errno = saved;
}

const struct ayre_topic_entry *ayre_topic_look_entry(const struct ayre_topic_look *look)
{
	return &look->entry;
}

const struct ayre_topic_publisher *ayre_topic_look_publisher(const struct ayre_topic_look *look,
                                                             size_t index)
{
	return index < look->publisher_count ? &look->publishers[index] : NULL;
}

const struct ayre_topic_subscriber *ayre_topic_look_subscriber(const struct ayre_topic_look *look,
                                                               size_t index)
{
	return index < look->subscriber_count ? &look->subscribers[index] : NULL;
}
