/*
 * The list of topics.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "topic/census.h"

struct ayre_topic_list {
	struct ayre_topic_entry *entries;
	size_t count, room, unseen;
};

static bool has_description(const struct ayrei_topic *topic)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;

	snprintf(path, sizeof(path), "%s/topic", topic->prefix);
	return ayrei_path_status(path, false, &status) == 0;
}

static int make_room(struct ayre_topic_list *list)
{
	size_t room = list->room ? 2 * list->room : 16;
	void *grown;

	if (list->count < list->room)
		return 0;
	grown = reallocarray(list->entries, room, sizeof(*list->entries));
	if (!grown)
		return -ENOMEM;
	list->entries = grown;
	list->room = room;
	return 0;
}

static int add_topic(struct ayre_topic_list *list, const struct ayrei_topic *topic,
                     const char *problem)
{
	struct ayrei_files files;
	int result = make_room(list);

	if (result == 0)
		result = ayrei_files_read(&files, topic);
	if (result < 0)
		return result;
	result = ayrei_entry_fill(&list->entries[list->count], topic, &files, problem);
	list->count += result == 0;
	ayrei_files_fini(&files);
	return result;
}

/* As it is, if it is whole; as much of it as can be told, if it is damaged. */
static int visit_topic(const char *name, void *context)
{
	struct ayre_topic_list *list = context;
	const char *slash = strrchr(name, '/');
	struct ayrei_topic topic;
	struct ayre_error error;
	int result;

	if (ayrei_topic_is_unfinished(slash ? slash + 1 : name))
		return 0;
	result = ayrei_topic_look(&topic, name, &error);
	if (result == 0) {
		result = add_topic(list, &topic, NULL);
		ayrei_topic_close(&topic);
		return result;
	}
	if (result == -EACCES) {
		list->unseen++;
		return 0;
	}
	/* Too little is left of this process, not of the topic. */
	if (result == -EMFILE || result == -ENFILE || result == -ENOMEM)
		return result;
	if (ayrei_topic_find(&topic, name, NULL) < 0)
		return 0;
	result = has_description(&topic)
	                 ? add_topic(list, &topic,
	                             error.detail[0] ? error.detail : "it cannot be opened")
	                 : 0;
	ayrei_topic_close(&topic);
	return result;
}

static int compare_entries(const void *left, const void *right)
{
	const struct ayre_topic_entry *a = left, *b = right;

	return strcmp(a->name, b->name);
}

int ayre_topic_list_new(const char *root, struct ayre_topic_list **ret_list,
                        struct ayre_error *error)
{
	struct ayre_topic_list *list = calloc(1, sizeof(*list));
	struct ayre_error own = {0};
	int result;

	if (!list)
		return ayrei_fail(error, -ENOMEM, "list", root ? root : "topics", NULL);
	result = ayrei_root_visit(root, visit_topic, list, &own);
	if (result < 0) {
		if (own.code == 0)
			ayrei_fail(&own, result, "look", root ? root : "topics", NULL);
		if (error)
			*error = own;
		ayre_topic_list_free(list);
		return result;
	}
	if (list->count)
		qsort(list->entries, list->count, sizeof(*list->entries), compare_entries);
	*ret_list = list;
	return 0;
}

void ayre_topic_list_free(struct ayre_topic_list *list)
{
	int saved = errno;

	if (!list)
		return;
	for (size_t i = 0; i < list->count; i++)
		ayrei_entry_fini(&list->entries[i]);
	free(list->entries);
	free(list);
	errno = saved;
}

size_t ayre_topic_list_count(const struct ayre_topic_list *list)
{
	return list->count;
}

const struct ayre_topic_entry *ayre_topic_list_entry(const struct ayre_topic_list *list,
                                                     size_t index)
{
	return index < list->count ? &list->entries[index] : NULL;
}

size_t ayre_topic_list_unseen(const struct ayre_topic_list *list)
{
	return list->unseen;
}
