/*
 * Topics as JSON: the list of them, and one.
 */
#include "command/topic_list.h"

#include <inttypes.h>
#include <stdio.h>

#include "command/command.h"
#include "command/output.h"

static const char *const sync_names[] = {
	[AYRE_TOPIC_SYNC_NONE] = "none",
	[AYRE_TOPIC_SYNC_GROUP] = "group",
	[AYRE_TOPIC_SYNC_EACH] = "each",
};

const char *topic_sync_name(const struct ayre_topic_entry *entry)
{
	return entry->durable && entry->sync < COUNT_OF(sync_names) ? sync_names[entry->sync]
	                                                            : NULL;
}

static json_t *id_json(uint64_t id)
{
	char text[20];

	snprintf(text, sizeof(text), "%016" PRIx64, id);
	return json_string(text);
}

/* What is only known of a topic that is whole. */
static json_t *number_if(bool known, uint64_t number)
{
	return known ? json_integer((json_int_t)number) : json_null();
}

static json_t *log_json(const struct ayre_topic_entry *entry)
{
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:I, s:o}", "durable", (int)entry->durable,
	                 "sync", output_text_json(topic_sync_name(entry)), "extent_bytes",
	                 number_if(entry->durable, entry->extent_bytes), "retain_bytes",
	                 number_if(entry->retain_bytes, entry->retain_bytes), "retain_age_ns",
	                 number_if(entry->retain_age_ns, (uint64_t)entry->retain_age_ns),
	                 "disk_bytes", (json_int_t)entry->disk_bytes, "memory_path",
	                 output_text_json(entry->memory_path));
}

/* The first with what is in the second, which it takes. */
static json_t *merge(json_t *object, json_t *more)
{
	if (!object || !more || json_object_update(object, more) == -1) {
		json_decref(object);
		object = NULL;
	}
	json_decref(more);
	return object;
}

static json_t *entry_json(const struct ayre_topic_entry *entry)
{
	bool whole = !entry->problem;
	char mode[8], owner[64];

	snprintf(mode, sizeof(mode), "%04" PRIo32, entry->mode);
	return merge(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:s, s:o, s:I, s:I, s:I, "
	                       "s:I, s:I}",
	                       "name", output_text_json(entry->name), "path",
	                       output_text_json(entry->path), "problem",
	                       output_text_json(entry->problem), "ring_bytes",
	                       number_if(whole, entry->ring_bytes), "lossy",
	                       whole ? json_boolean(entry->lossy) : json_null(), "mode",
	                       whole ? json_string(mode) : json_null(), "tag",
	                       output_text_json(entry->tag), "uid", (json_int_t)entry->uid, "owner",
	                       format_user(entry->uid, owner), "created_ns",
	                       number_if(whole, (uint64_t)entry->created_ns), "used_bytes",
	                       (json_int_t)entry->used_bytes, "publisher_count",
	                       (json_int_t)entry->publishers, "publisher_live_count",
	                       (json_int_t)entry->publishers_live, "subscriber_count",
	                       (json_int_t)entry->subscribers, "subscriber_live_count",
	                       (json_int_t)entry->subscribers_live),
	             log_json(entry));
}

static json_t *publisher_log_json(const struct ayre_topic_publisher *publisher)
{
	return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I}", "in_memory", (int)publisher->has_ring,
	                 "carried_position_bytes", (json_int_t)publisher->carried,
	                 "safe_position_bytes", (json_int_t)publisher->safe, "safe_messages",
	                 (json_int_t)publisher->safe_messages, "extent_count",
	                 (json_int_t)publisher->extents, "disk_bytes",
	                 (json_int_t)publisher->disk_bytes);
}

static json_t *publisher_json(const struct ayre_topic_publisher *publisher, bool durable)
{
	json_t *object = json_pack(
		"{s:o, s:o, s:o, s:I, s:b, s:b, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I}",
		"id", id_json(publisher->id), "problem", output_text_json(publisher->problem),
		"pid", number_if(publisher->has_ring, (uint64_t)publisher->pid), "uid",
		(json_int_t)publisher->uid, "alive", (int)publisher->live, "closed",
		(int)publisher->closed, "waiting", (int)publisher->waiting, "opened_ns",
		number_if(publisher->has_ring, (uint64_t)publisher->opened_ns), "owner_count",
		(json_int_t)publisher->owners, "position_bytes", (json_int_t)publisher->position,
		"messages", (json_int_t)publisher->messages, "sent_bytes",
		(json_int_t)publisher->bytes, "kept_messages", (json_int_t)publisher->kept_messages,
		"kept_bytes", (json_int_t)publisher->kept_bytes, "used_bytes",
		(json_int_t)publisher->used_bytes);

	return durable ? merge(object, publisher_log_json(publisher)) : object;
}

static json_t *lag_json(const struct ayre_topic_lag *lag)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:b}", "publisher",
	                 id_json(lag->publisher), "position_bytes", (json_int_t)lag->position,
	                 "received", (json_int_t)lag->received, "missed", (json_int_t)lag->missed,
	                 "lag_messages", (json_int_t)lag->messages, "lag_bytes",
	                 (json_int_t)lag->bytes, "overtaken", (int)lag->overtaken);
}

static json_t *subscriber_json(const struct ayre_topic_subscriber *subscriber)
{
	json_t *lags = json_array();

	for (size_t i = 0; lags && i < subscriber->lag_count; i++) {
		if (json_array_append_new(lags, lag_json(&subscriber->lags[i])) == -1) {
			json_decref(lags);
			return NULL;
		}
	}
	return json_pack("{s:o, s:o, s:i, s:I, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "id",
	                 id_json(subscriber->id), "problem", output_text_json(subscriber->problem),
	                 "pid", (int)subscriber->pid, "uid", (json_int_t)subscriber->uid, "alive",
	                 (int)subscriber->live, "lossy", (int)subscriber->lossy, "asleep",
	                 (int)(subscriber->live && subscriber->asleep), "opened_ns",
	                 (json_int_t)subscriber->opened_ns, "received",
	                 (json_int_t)subscriber->received, "missed", (json_int_t)subscriber->missed,
	                 "lag_messages", (json_int_t)subscriber->lag_messages, "lag_bytes",
	                 (json_int_t)subscriber->lag_bytes, "lanes", lags);
}

static json_t *publishers_json(const struct ayre_topic_look *look)
{
	bool durable = ayre_topic_look_entry(look)->durable;
	json_t *all = json_array();
	const struct ayre_topic_publisher *publisher;

	for (size_t i = 0; all && (publisher = ayre_topic_look_publisher(look, i)); i++) {
		if (json_array_append_new(all, publisher_json(publisher, durable)) == -1) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

static json_t *subscribers_json(const struct ayre_topic_look *look)
{
	json_t *all = json_array();
	const struct ayre_topic_subscriber *subscriber;

	for (size_t i = 0; all && (subscriber = ayre_topic_look_subscriber(look, i)); i++) {
		if (json_array_append_new(all, subscriber_json(subscriber)) == -1) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

int topic_print_look_json(const struct ayre_topic_look *look)
{
	json_t *document = entry_json(ayre_topic_look_entry(look));

	if (document &&
	    (json_object_set_new(document, "publishers", publishers_json(look)) == -1 ||
	     json_object_set_new(document, "subscribers", subscribers_json(look)) == -1)) {
		json_decref(document);
		document = NULL;
	}
	return output_json(document);
}

int topic_print_list_json(const struct ayre_topic_list *list)
{
	json_t *topics = json_array();

	for (size_t i = 0; topics && i < ayre_topic_list_count(list); i++) {
		if (json_array_append_new(topics, entry_json(ayre_topic_list_entry(list, i))) ==
		    -1) {
			json_decref(topics);
			topics = NULL;
		}
	}
	return output_json(json_pack("{s:o, s:I}", "topics", topics, "unseen",
	                             (json_int_t)ayre_topic_list_unseen(list)));
}
