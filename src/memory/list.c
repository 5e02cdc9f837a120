/*
 * The list of segments: its records, and what it tells its owner.
 *
 * Invariant: an identity has one record, and a process is at most once among the users of it.
 * Records do not move, so that a pointer to one is good until the list is freed.
 */
#include "memory/list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 64u

static size_t bucket_of(const struct ayre_segment_list *list, uint64_t inode)
{
	/* By the inode alone, because the device is not always told in the same way. */
	return (size_t)((inode * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (list->room - 1);
}

static void enter(struct ayre_segment_list *list, struct ayrei_list_record *record)
{
	struct ayrei_list_record **bucket = &list->buckets[bucket_of(list, record->identity.inode)];

	record->next = *bucket;
	*bucket = record;
}

static int make_room(struct ayre_segment_list *list)
{
	size_t room = list->room ? 2 * list->room : FIRST_ROOM;
	struct ayrei_list_record **records, **buckets;

	if (list->count < list->room)
		return 0;
	buckets = calloc(room, sizeof(struct ayrei_list_record *));
	records = reallocarray(list->records, room, sizeof(struct ayrei_list_record *));
	if (records)
		list->records = records;
	if (!records || !buckets) {
		free(buckets);
		return -ENOMEM;
	}
	free(list->buckets);
	list->buckets = buckets;
	list->room = room;
	for (size_t i = 0; i < list->count; i++)
		enter(list, list->records[i]);
	return 0;
}

struct ayrei_list_record *ayrei_list_add(struct ayre_segment_list *list, enum ayre_backing backing,
                                         const struct ayrei_list_identity *identity)
{
	struct ayrei_list_record *record;

	if (make_room(list) < 0)
		return NULL;
	record = calloc(1, sizeof(*record));
	if (!record)
		return NULL;
	record->identity = *identity;
	record->entry = (struct ayre_segment_entry){
		.backing = backing,
		.uid = UINT32_MAX,
		.gid = UINT32_MAX,
		.key = -1,
		.id = -1,
		.changed_ns = -1,
	};
	list->records[list->count++] = record;
	enter(list, record);
	return record;
}

bool ayrei_list_is_at(const struct ayrei_list_record *record, const char *path)
{
	size_t directory = strlen(AYREI_LIST_SHM);
	const char *name = record->entry.name;

	if (!path || !name)
		return false;
	if (record->entry.backing == AYRE_BACKING_FILE)
		return strcmp(path, name + strlen("file:")) == 0;
	return strncmp(path, AYREI_LIST_SHM, directory) == 0 &&
	       strcmp(path + directory, name + strlen("shm:")) == 0;
}

struct ayrei_list_record *ayrei_list_find(const struct ayre_segment_list *list,
                                          const struct ayrei_list_identity *identity,
                                          const char *path)
{
	struct ayrei_list_record *record = NULL;

	if (list->room)
		record = list->buckets[bucket_of(list, identity->inode)];
	for (; record; record = record->next) {
		const struct ayrei_list_identity *own = &record->identity;

		if (own->inode != identity->inode || own->sysv != identity->sysv)
			continue;
		if (own->sysv || own->device == identity->device ||
		    (record->vague && ayrei_list_is_at(record, path)))
			return record;
	}
	return NULL;
}

struct ayre_segment_user *ayrei_list_user(struct ayrei_list_record *record,
                                          const struct ayre_segment_user *user)
{
	size_t count = record->entry.user_count;

	if (count && record->users[count - 1].pid == user->pid)
		return &record->users[count - 1];
	if (count == record->user_room) {
		size_t room = count ? 2 * count : 4;
		struct ayre_segment_user *users = reallocarray(record->users, room, sizeof(*users));

		if (!users)
			return NULL;
		record->users = users;
		record->user_room = room;
	}
	record->users[count] = *user;
	record->entry.users = record->users;
	record->entry.user_count++;
	return &record->users[count];
}

int ayrei_list_set_name(struct ayrei_list_record *record, const char *prefix, const char *text,
                        size_t length)
{
	size_t prefix_bytes = strlen(prefix);
	char *name = malloc(prefix_bytes + length + 1);

	if (!name)
		return -ENOMEM;
	memcpy(name, prefix, prefix_bytes);
	memcpy(name + prefix_bytes, text, length);
	name[prefix_bytes + length] = '\0';
	free((char *)record->entry.name);
	record->entry.name = name;
	return 0;
}

void ayrei_list_set_status(struct ayrei_list_record *record, const struct stat *status)
{
	struct ayre_segment_entry *entry = &record->entry;

	record->known = true;
	entry->size_bytes = (uint64_t)status->st_size;
	entry->resident_bytes = (uint64_t)status->st_blocks * 512;
	entry->mode = status->st_mode & 0777;
	entry->uid = status->st_uid;
	entry->gid = status->st_gid;
	entry->device = status->st_dev;
	entry->inode = status->st_ino;
	entry->changed_ns = (int64_t)status->st_ctim.tv_sec * 1000000000 + status->st_ctim.tv_nsec;
}

static void free_record(struct ayrei_list_record *record)
{
	free((char *)record->entry.name);
	free((char *)record->entry.tag);
	free(record->users);
	free(record);
}

/* Namesakes (private System V segments, memfds) by what tells them apart. */
static int compare(const void *left, const void *right)
{
	const struct ayrei_list_record *a = *(struct ayrei_list_record *const *)left;
	const struct ayrei_list_record *b = *(struct ayrei_list_record *const *)right;
	int order;

	if (a->entry.backing != b->entry.backing)
		return a->entry.backing < b->entry.backing ? -1 : 1;
	order = strcmp(a->entry.name, b->entry.name);
	if (order)
		return order;
	if (a->identity.inode != b->identity.inode)
		return a->identity.inode < b->identity.inode ? -1 : 1;
	return a->identity.device < b->identity.device ? -1
	                                               : a->identity.device > b->identity.device;
}

void ayrei_list_finish(struct ayre_segment_list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (list->records[i]->ignored)
			free_record(list->records[i]);
		else
			list->records[kept++] = list->records[i];
	}
	list->count = kept;
	/* They point to what is freed by now, and nothing will be looked for any more. */
	free(list->buckets);
	list->buckets = NULL;
	if (kept)
		qsort(list->records, kept, sizeof(struct ayrei_list_record *), compare);
}

void ayre_segment_list_free(struct ayre_segment_list *list)
{
	int saved = errno;

	if (!list)
		return;
	for (size_t i = 0; i < list->count; i++)
		free_record(list->records[i]);
	free(list->records);
	free(list->buckets);
	free(list);
	errno = saved;
}

size_t ayre_segment_list_count(const struct ayre_segment_list *list)
{
	return list->count;
}

const struct ayre_segment_entry *ayre_segment_list_entry(const struct ayre_segment_list *list,
                                                         size_t index)
{
	return index < list->count ? &list->records[index]->entry : NULL;
}

size_t ayre_segment_list_unseen(const struct ayre_segment_list *list)
{
	return list->unseen;
}
