/*
 * A cursor, made and let go.
 *
 * The order of joining: the bell, a look through the directory for where the lanes are, then the cursor's
 * name, then the word in `join`, and another look. Whoever publishes by then either finds the name, or
 * sees the word change after its next message; whoever begins to later finds the name. Were the first
 * look left out, a publisher could find the name and send, before we know where its lane was then.
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
#include "sys/system.h"
#include "topic/bell.h"
#include "topic/subscriber.h"

int ayrei_subscriber_options(struct ayre_subscriber_options *ret_options,
                             const struct ayre_subscriber_options *given)
{
	const uint32_t known = AYRE_SUBSCRIBER_EXISTING | AYRE_SUBSCRIBER_LOSSY |
	                       AYRE_SUBSCRIBER_UNTIL_CLOSED | AYRE_SUBSCRIBER_SAFE_ONLY;
	int result = ayrei_options_copy(ret_options, sizeof(*ret_options), given);

	return result == 0 && ret_options->flags & ~known ? -EINVAL : result;
}

struct ayre_subscriber *ayrei_subscriber_new(const struct ayre_subscriber_options *options)
{
	struct ayre_subscriber *subscriber = calloc(1, sizeof(*subscriber));

	if (!subscriber)
		return NULL;
	subscriber->topic = AYREI_NO_TOPIC;
	subscriber->file = -1;
	subscriber->bell = -1;
	subscriber->set = -1;
	subscriber->join = &subscriber->no_join;
	subscriber->broken_publisher = UINT64_MAX;
	subscriber->damaged_publisher = UINT64_MAX;
	subscriber->options = *options;
	subscriber->no_barrier = !ayrei_barrier_is_known();
	subscriber->waited_for = !(options->flags & AYRE_SUBSCRIBER_LOSSY);
	ayrei_spin_init(&subscriber->spin, options->spin_ns);
	return subscriber;
}

void ayrei_subscriber_sign(struct ayre_subscriber *subscriber, const uint8_t *generation)
{
	struct ayrei_cursor_layout *cursor = subscriber->cursor;

	memcpy(cursor->magic, AYREI_CURSOR_MAGIC, sizeof(cursor->magic));
	cursor->version = AYREI_TOPIC_VERSION;
	cursor->header_bytes = offsetof(struct ayrei_cursor_layout, entries);
	memcpy(cursor->generation, generation, sizeof(cursor->generation));
	cursor->id = subscriber->id;
	cursor->opened_ns = ayrei_realtime_ns();
	cursor->pid = ayrei_own_process();
	cursor->uid = ayrei_user();
	ayrei_store_release(
		&cursor->flags,
		(subscriber->options.flags & AYRE_SUBSCRIBER_LOSSY ? AYREI_CURSOR_LOSSY : 0) |
			(subscriber->no_barrier ? AYREI_CURSOR_NEEDS_FENCE : 0) |
			(subscriber->safe_only ? AYREI_CURSOR_SAFE_ONLY : 0));
}

int ayrei_subscriber_listen(struct ayre_subscriber *subscriber)
{
	int result = subscriber->set = ayrei_set_open();

	return result < 0 ? result
	                  : ayrei_set_add(subscriber->set, subscriber->bell, AYREI_READABLE,
	                                  AYREI_SUBSCRIBER_BELL);
}

static const char *own_path(const struct ayre_subscriber *subscriber, const char *suffix,
                            char path[AYREI_PEER_PATH_BYTES])
{
	return ayrei_peer_path(&subscriber->topic, AYREI_PEER_SUBSCRIBER, subscriber->id, suffix,
	                       path);
}

/* So often is a name drawn whose bell somebody clears away before it is ours. */
#define ATTEMPTS 16

static int make_bell(struct ayre_subscriber *subscriber)
{
	char path[AYREI_PEER_PATH_BYTES];
	int result = -EBUSY;

	for (int i = 0; i < ATTEMPTS && result == -EBUSY; i++) {
		subscriber->id = 0;
		result = 0;
		while (result == 0 && subscriber->id == 0)
			result = ayrei_random(&subscriber->id, sizeof(subscriber->id));
		if (result == 0)
			result = subscriber->bell =
				ayrei_bell_make(own_path(subscriber, ".bell", path));
	}
	return result < 0 ? result : ayrei_subscriber_listen(subscriber);
}

static int make_cursor(struct ayre_subscriber *subscriber, struct ayre_error *error)
{
	const char *label = subscriber->topic.label;
	int result = subscriber->file =
		ayrei_peer_make(&subscriber->topic, sizeof(struct ayrei_cursor_layout), error);

	if (result < 0)
		return result;
	result = make_bell(subscriber);
	if (result < 0)
		return ayrei_fail(error, result, "bell", label, NULL);
	result = ayrei_shared_map(&subscriber->map, subscriber->file,
	                          sizeof(struct ayrei_cursor_layout), 0, true, false);
	if (result < 0)
		return ayrei_fail(error, result, "map", label, NULL);
	subscriber->cursor = subscriber->map.base;
	ayrei_subscriber_sign(subscriber, subscriber->topic.layout.generation);
	return 0;
}

static int name_cursor(const struct ayre_subscriber *subscriber, struct ayre_error *error)
{
	char path[AYREI_PEER_PATH_BYTES];
	int result = ayrei_file_link_unnamed(subscriber->file, own_path(subscriber, "", path));

	return result < 0 ? ayrei_fail(error, result, "create", subscriber->topic.label, NULL) : 0;
}

static int look(struct ayre_subscriber *subscriber, bool ring, struct ayre_error *error)
{
	int result = ayrei_subscriber_look(subscriber, ring);

	return result < 0 ? ayrei_fail(error, result, "look", subscriber->topic.label,
	                               "a publisher cannot be listened to")
	                  : 0;
}

static int open_named(struct ayre_subscriber *subscriber, struct ayre_error *error)
{
	const char *label = subscriber->topic.label;
	struct stat status;
	int result;

	subscriber->is_durable = ayrei_topic_is_durable(&subscriber->topic);
	subscriber->safe_only = subscriber->options.flags & AYRE_SUBSCRIBER_SAFE_ONLY;
	if (subscriber->safe_only && !subscriber->is_durable)
		return ayrei_fail(error, -EOPNOTSUPP, "safe", label,
		                  "nothing is safe in a topic that is in memory");
	result = make_cursor(subscriber, error);
	if (result < 0)
		return result;
	subscriber->waited_for = subscriber->waited_for && !subscriber->is_durable &&
	                         !(subscriber->topic.layout.policy & AYREI_POLICY_LOSSY) &&
	                         ayrei_file_status(subscriber->file, &status) == 0 &&
	                         ayrei_topic_may_publish(&subscriber->topic, &status);
	/* From here on: who knows us by our name, and sends, has not sent it before this. */
	result = look(subscriber, false, error);
	if (result == 0)
		result = name_cursor(subscriber, error);
	if (result < 0)
		return result;
	result = ayrei_topic_announce(&subscriber->topic);
	if (result == 0)
		result = ayrei_topic_map_join(&subscriber->topic, &subscriber->join_map,
		                              &subscriber->join);
	if (result < 0)
		return ayrei_fail(error, result == -ENOENT || result == -ELOOP ? -EPROTO : result,
		                  "join", label,
		                  "its file 'join' is missing or damaged: remove the topic");
	result = look(subscriber, true, error);
	if (result == 0)
		ayrei_subscriber_arrive(subscriber);
	return result;
}

int ayrei_subscriber_open_in(const struct ayre_subscriber_options *options,
                             struct ayrei_topic *topic, struct ayre_subscriber **ret_subscriber,
                             struct ayre_error *error)
{
	struct ayre_subscriber *subscriber = ayrei_subscriber_new(options);
	int result;

	if (!subscriber) {
		result = ayrei_fail(error, -ENOMEM, "handle", topic->label, NULL);
		ayrei_topic_close(topic);
		return result;
	}
	subscriber->topic = *topic;
	*topic = AYREI_NO_TOPIC;
	result = open_named(subscriber, error);
	if (result < 0) {
		ayre_subscriber_close(subscriber);
		return result;
	}
	/* Borrowed for the call. */
	subscriber->options.topic = NULL;
	*ret_subscriber = subscriber;
	return 0;
}

int ayre_subscriber_open(const struct ayre_subscriber_options *options, const char *name,
                         struct ayre_subscriber **ret_subscriber, struct ayre_error *error)
{
	const char *label = name ? name : "topic";
	struct ayre_subscriber_options copy;
	struct ayrei_topic topic;
	int result;

	if (ayrei_subscriber_options(&copy, options) < 0)
		return ayrei_fail(error, -EINVAL, "options", label,
		                  "their size is not set, or a flag is unknown");
	if (copy.from > AYRE_FROM_TIME)
		return ayrei_fail(error, -EINVAL, "from", label, "it is none of the four");
	result = ayrei_topic_open(&topic, copy.topic, name, copy.flags & AYRE_SUBSCRIBER_EXISTING,
	                          error);
	return result < 0 ? result : ayrei_subscriber_open_in(&copy, &topic, ret_subscriber, error);
}

/*
 * A child that was forked meanwhile has the cursor's file and our bell too, and would keep us alive: so
 * the one is disowned, and if the other does not end, everybody is told.
 */
static void take_leave(struct ayre_subscriber *subscriber)
{
	char path[AYREI_PEER_PATH_BYTES];

	if (subscriber->topic.directory >= 0 && subscriber->id) {
		/* The cursor last: as long as it is there, others know by it whose the bell is. */
		(void)!ayrei_file_unlink(own_path(subscriber, ".bell", path));
		(void)!ayrei_file_unlink(own_path(subscriber, "", path));
	}
	if (subscriber->file >= 0)
		(void)!ayrei_file_disown(subscriber->file);
	if (!ayrei_bell_close(subscriber->bell))
		return;
	for (size_t i = 0; i < subscriber->source_count; i++)
		ayrei_bell_ring(subscriber->sources[i].bell, AYREI_BELL_LEAVE);
	if (subscriber->topic.directory >= 0)
		ayrei_topic_take_leave(&subscriber->topic, AYREI_PEER_PUBLISHER);
}

void ayre_subscriber_close(struct ayre_subscriber *subscriber)
{
	int saved = errno;

	if (!subscriber)
		return;
	ayrei_subscriber_end_look(subscriber);
	ayrei_subscriber_forget_maps(subscriber);
	take_leave(subscriber);
	for (size_t i = 0; i < subscriber->source_count; i++)
		ayrei_source_let_go(subscriber, &subscriber->sources[i]);
	free(subscriber->sources);
	free(subscriber->refused);
	ayrei_file_close(subscriber->set);
	ayrei_shared_unmap(&subscriber->map);
	ayrei_shared_unmap(&subscriber->join_map);
	ayrei_file_close(subscriber->file);
	ayrei_topic_close(&subscriber->topic);
	free(subscriber);
	errno = saved;
}
