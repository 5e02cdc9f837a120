/*
 * The files of logs, and the slots that tell how far each is.
 */
#include "topic/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "sys/directory.h"
#include "sys/system.h"

/* --- names --- */

#define DIGITS 16

static bool parse_number(const char *digits, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (int i = 0; i < DIGITS; i++) {
		char digit = digits[i];

		if (digit >= '0' && digit <= '9')
			number = number << 4 | (uint64_t)(digit - '0');
		else if (digit >= 'a' && digit <= 'f')
			number = number << 4 | (uint64_t)(digit - 'a' + 10);
		else
			return false;
	}
	*ret_number = number;
	return true;
}

bool ayrei_log_parse(const char *file, struct ayrei_log_name *ret_name)
{
	*ret_name = (struct ayrei_log_name){.id = 0};
	if (strncmp(file, "log.", 4) != 0)
		return false;
	if (!parse_number(file + 4, &ret_name->id) || ret_name->id == 0)
		return false;
	file += 4 + DIGITS;
	if (*file == '\0')
		return true;
	ret_name->is_extent = true;
	if (*file++ != '.' || !parse_number(file, &ret_name->begin))
		return false;
	ret_name->is_new = strcmp(file + DIGITS, AYREI_EXTENT_NEW) == 0;
	return ret_name->is_new || file[DIGITS] == '\0';
}

const char *ayrei_log_path(const struct ayrei_topic *topic, uint64_t id,
                           char path[AYREI_PEER_PATH_BYTES])
{
	snprintf(path, AYREI_PEER_PATH_BYTES, "%s/log.%016" PRIx64, ayrei_topic_log_prefix(topic),
	         id);
	return path;
}

const char *ayrei_extent_path(const struct ayrei_topic *topic, uint64_t id, uint64_t begin,
                              char path[AYREI_PEER_PATH_BYTES])
{
	snprintf(path, AYREI_PEER_PATH_BYTES, "%s/log.%016" PRIx64 ".%016" PRIx64,
	         ayrei_topic_log_prefix(topic), id, begin);
	return path;
}

/* Calls for each name in the directory on the disk, until it returns something negative. */
static int visit_all(const struct ayrei_topic *topic, int (*visit)(const char *file, void *context),
                     void *context)
{
	const struct dirent *entry;
	DIR *directory;
	int result = ayrei_directory_open(ayrei_topic_log(topic), ".", &directory);

	if (result < 0)
		return result;
	while ((result = ayrei_directory_next(directory, &entry)) == 1) {
		result = visit(entry->d_name, context);
		if (result < 0)
			break;
	}
	ayrei_directory_close(directory);
	return result;
}

struct logs {
	int (*visit)(const struct ayrei_log_name *name, void *context);
	void *context;
};

static int visit_log(const char *file, void *context)
{
	const struct logs *logs = context;
	struct ayrei_log_name name;

	return ayrei_log_parse(file, &name) ? logs->visit(&name, logs->context) : 0;
}

int ayrei_log_visit(const struct ayrei_topic *topic,
                    int (*visit)(const struct ayrei_log_name *name, void *context), void *context)
{
	return visit_all(topic, visit_log, &(struct logs){visit, context});
}

struct larges {
	int (*visit)(const struct ayrei_peer_name *name, uint64_t position, void *context);
	void *context;
};

static int visit_large(const char *file, void *context)
{
	const struct larges *larges = context;
	struct ayrei_peer_name name;
	uint64_t position;

	if (!ayrei_peer_parse(file, &name) || name.kind != AYREI_PEER_PUBLISHER ||
	    strlen(name.suffix) != 1 + DIGITS || !parse_number(name.suffix + 1, &position))
		return 0;
	return larges->visit(&name, position, larges->context);
}

int ayrei_log_visit_large(const struct ayrei_topic *topic,
                          int (*visit)(const struct ayrei_peer_name *name, uint64_t position,
                                       void *context),
                          void *context)
{
	return visit_all(topic, visit_large, &(struct larges){visit, context});
}

/* --- the extents of one --- */

struct listing {
	struct ayrei_extents *extents;
	uint64_t id;
};

static int list(const struct ayrei_log_name *name, void *context)
{
	const struct listing *listing = context;
	struct ayrei_extents *extents = listing->extents;

	if (!name->is_extent || name->is_new || name->id != listing->id)
		return 0;
	if (extents->count == extents->room) {
		size_t room = extents->room ? 2 * extents->room : 16;
		uint64_t *grown = reallocarray(extents->begins, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		extents->begins = grown;
		extents->room = room;
	}
	extents->begins[extents->count++] = name->begin;
	return 0;
}

static int compare(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

int ayrei_extents_list(struct ayrei_extents *extents, const struct ayrei_topic *topic, uint64_t id)
{
	struct listing listing = {extents, id};
	int result;

	*extents = (struct ayrei_extents){.begins = NULL};
	result = ayrei_log_visit(topic, list, &listing);
	if (result < 0) {
		ayrei_extents_fini(extents);
		return result;
	}
	if (extents->count)
		qsort(extents->begins, extents->count, sizeof(*extents->begins), compare);
	return 0;
}

void ayrei_extents_fini(struct ayrei_extents *extents)
{
	free(extents->begins);
	*extents = (struct ayrei_extents){.begins = NULL};
}

size_t ayrei_extents_find(const struct ayrei_extents *extents, uint64_t position)
{
	size_t least = 0, most = extents->count;

	while (least < most) {
		size_t middle = least + (most - least) / 2;

		if (extents->begins[middle] <= position)
			least = middle + 1;
		else
			most = middle;
	}
	return least ? least - 1 : SIZE_MAX;
}

#define LOG_MODE 0644

int ayrei_log_make_file(const struct ayrei_topic *topic)
{
	ayrei_auto_fd int fd = ayrei_file_open_unnamed(ayrei_topic_log_prefix(topic));
	int result = fd < 0 ? fd : ayrei_file_set_mode(fd, LOG_MODE);

	/* As with lanes: by its group a file shows that its owner may publish. */
	if (result == 0 && (topic->layout.mode & 0020))
		(void)!ayrei_file_set_group(fd, topic->layout.gid);
	return result < 0 ? result : ayrei_take_fd(&fd);
}

/* --- slots --- */

static uint64_t sum_of(const struct ayrei_slot_layout *slot)
{
	return ayrei_hash(slot, offsetof(struct ayrei_slot_layout, checksum));
}

static bool is_slot(const struct ayrei_slot_layout *slot, const struct ayrei_topic *topic,
                    uint64_t id)
{
	return memcmp(slot->magic, AYREI_LOG_MAGIC, sizeof(slot->magic)) == 0 &&
	       slot->version == AYREI_TOPIC_VERSION && slot->checksum == sum_of(slot) &&
	       memcmp(slot->generation, topic->layout.generation, sizeof(slot->generation)) == 0 &&
	       slot->id == id && slot->number > 0 && slot->first <= slot->last &&
	       slot->last <= INT64_MAX && slot->safe <= INT64_MAX && slot->sequence <= INT64_MAX;
}

int ayrei_slot_read(int fd, const struct ayrei_topic *topic, uint64_t id,
                    struct ayrei_slot_layout *ret_slot)
{
	struct ayrei_slot_layout slot, best = {.number = 0};

	for (unsigned int i = 0; i < AYREI_SLOTS; i++) {
		ssize_t got = ayrei_file_read_at(fd, &slot, sizeof(slot), i * AYREI_BLOCK);

		if (got < 0)
			return (int)got;
		if (got == sizeof(slot) && is_slot(&slot, topic, id) && slot.number > best.number)
			best = slot;
	}
	if (best.number == 0)
		return -EBADMSG;
	*ret_slot = best;
	return 0;
}

int ayrei_slot_write(int fd, const struct ayrei_topic *topic, struct ayrei_slot_layout *slot)
{
	memcpy(slot->magic, AYREI_LOG_MAGIC, sizeof(slot->magic));
	slot->version = AYREI_TOPIC_VERSION;
	memcpy(slot->generation, topic->layout.generation, sizeof(slot->generation));
	slot->number++;
	slot->time_ns = ayrei_realtime_ns();
	slot->checksum = sum_of(slot);
	return ayrei_file_write_at(fd, slot, sizeof(*slot),
	                           slot->number % AYREI_SLOTS * AYREI_BLOCK);
}
