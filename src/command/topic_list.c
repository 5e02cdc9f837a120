/*
 * ayre topic list and show: which topics there are, and who uses one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <ayre.h>

#include "command/command.h"
#include "command/message.h"
#include "command/output.h"

struct list_options {
	bool json;
};

static const struct command_option json_table[] = {
	{"json", OPTION_FLAG, NULL, offsetof(struct list_options, json), "one JSON document"},
};

/* --- as JSON --- */

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

static json_t *entry_json(const struct ayre_topic_entry *entry)
{
	bool whole = !entry->problem;
	char mode[8], owner[64];

	snprintf(mode, sizeof(mode), "%04" PRIo32, entry->mode);
	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:s, s:o, s:I, s:I, s:I, s:I, s:I}",
		"name", output_text_json(entry->name), "path", output_text_json(entry->path),
		"problem", output_text_json(entry->problem), "ring_bytes",
		number_if(whole, entry->ring_bytes), "lossy",
		whole ? json_boolean(entry->lossy) : json_null(), "mode",
		whole ? json_string(mode) : json_null(), "tag", output_text_json(entry->tag), "uid",
		(json_int_t)entry->uid, "owner", format_user(entry->uid, owner), "created_ns",
		number_if(whole, (uint64_t)entry->created_ns), "used_bytes",
		(json_int_t)entry->used_bytes, "publisher_count", (json_int_t)entry->publishers,
		"publisher_live_count", (json_int_t)entry->publishers_live, "subscriber_count",
		(json_int_t)entry->subscribers, "subscriber_live_count",
		(json_int_t)entry->subscribers_live);
}

static json_t *publisher_json(const struct ayre_topic_publisher *publisher)
{
	return json_pack(
		"{s:o, s:o, s:i, s:I, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I}",
		"id", id_json(publisher->id), "problem", output_text_json(publisher->problem),
		"pid", (int)publisher->pid, "uid", (json_int_t)publisher->uid, "alive",
		(int)publisher->live, "closed", (int)publisher->closed, "waiting",
		(int)publisher->waiting, "opened_ns", (json_int_t)publisher->opened_ns,
		"owner_count", (json_int_t)publisher->owners, "position_bytes",
		(json_int_t)publisher->position, "messages", (json_int_t)publisher->messages,
		"sent_bytes", (json_int_t)publisher->bytes, "kept_messages",
		(json_int_t)publisher->kept_messages, "kept_bytes",
		(json_int_t)publisher->kept_bytes, "used_bytes", (json_int_t)publisher->used_bytes);
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
	json_t *all = json_array();
	const struct ayre_topic_publisher *publisher;

	for (size_t i = 0; all && (publisher = ayre_topic_look_publisher(look, i)); i++) {
		if (json_array_append_new(all, publisher_json(publisher)) == -1) {
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

static int print_look_json(const struct ayre_topic_look *look)
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

static int print_list_json(const struct ayre_topic_list *list)
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

/* --- for people --- */

/* A text may hold anything; a terminal gets what prints. */
static void print_text(const char *text)
{
	for (const char *c = text; *c; c++)
		output_print("%c", (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
}

static void print_row(const struct ayre_topic_entry *entry, int name_width)
{
	char ring[16], used[16], owner[64], mode[8] = "?";

	if (!entry->problem)
		snprintf(mode, sizeof(mode), "%04" PRIo32, entry->mode);
	output_print("%-*s  %5s  %-8s  %5s  %-4s  %-8s  %4" PRIu32 "  %4" PRIu32, name_width,
	             entry->name, entry->problem ? "?" : format_size(entry->ring_bytes, ring),
	             entry->problem ? "?"
	             : entry->lossy ? "lossy"
	                            : "reliable",
	             format_size(entry->used_bytes, used), mode, format_user(entry->uid, owner),
	             entry->publishers_live, entry->subscribers_live);
	if (entry->problem) {
		output_print("  cannot be used: ");
		print_text(entry->problem);
	} else if (entry->tag) {
		output_print("  ");
		print_text(entry->tag);
	}
	output_print("\n");
}

/* Longer names push their own row to the right, not everybody's. */
#define NAME_WIDTH_MAX 40

static int print_list(const struct ayre_topic_list *list)
{
	size_t count = ayre_topic_list_count(list), unseen = ayre_topic_list_unseen(list);
	int name_width = (int)strlen("TOPIC");

	for (size_t i = 0; i < count; i++) {
		int width = (int)strlen(ayre_topic_list_entry(list, i)->name);

		if (width > name_width && width <= NAME_WIDTH_MAX)
			name_width = width;
	}
	if (count)
		output_print("%-*s  %5s  %-8s  %5s  %-4s  %-8s  %4s  %4s  %s\n", name_width,
		             "TOPIC", "RING", "POLICY", "USED", "MODE", "OWNER", "PUBS", "SUBS",
		             "TAG");
	for (size_t i = 0; i < count; i++)
		print_row(ayre_topic_list_entry(list, i), name_width);
	if (unseen)
		output_note("%zu director%s may not be looked into by this user", unseen,
		            unseen == 1 ? "y" : "ies");
	return EXIT_DONE;
}

static void print_geometry(const struct ayre_topic_entry *entry)
{
	char ring[16], used[16], owner[64], created[32];

	output_print("%s: %s, rings of %s, mode %04" PRIo32 ", of %s, made %s, %s in use\n",
	             entry->path, entry->lossy ? "lossy" : "reliable",
	             format_size(entry->ring_bytes, ring), entry->mode,
	             format_user(entry->uid, owner), format_time(entry->created_ns, created),
	             format_size(entry->used_bytes, used));
	if (entry->tag) {
		output_print("tag: ");
		print_text(entry->tag);
		output_print("\n");
	}
}

static void print_publishers(const struct ayre_topic_look *look)
{
	const struct ayre_topic_publisher *publisher;
	char sent[16], kept[16];

	for (size_t i = 0; (publisher = ayre_topic_look_publisher(look, i)); i++) {
		if (i == 0)
			output_print("\n%-16s  %7s  %-7s  %12s  %6s  %12s  %6s\n", "PUBLISHER",
			             "PID", "STATE", "MESSAGES", "BYTES", "KEPT", "BYTES");
		output_print("%016" PRIx64 "  %7d  %-7s  %12" PRIu64 "  %6s  %12" PRIu64
		             "  %6s%s%s\n",
		             publisher->id, (int)publisher->pid,
		             publisher->waiting  ? "waiting"
		             : publisher->live   ? "alive"
		             : publisher->closed ? "closed"
		                                 : "died",
		             publisher->messages, format_size(publisher->bytes, sent),
		             publisher->kept_messages, format_size(publisher->kept_bytes, kept),
		             publisher->problem ? "  not listened to: " : "",
		             publisher->problem ? publisher->problem : "");
	}
}

static void print_subscribers(const struct ayre_topic_look *look)
{
	const struct ayre_topic_subscriber *subscriber;
	char lag[16];

	for (size_t i = 0; (subscriber = ayre_topic_look_subscriber(look, i)); i++) {
		if (i == 0)
			output_print("\n%-16s  %7s  %-6s  %-8s  %12s  %10s  %10s  %6s\n",
			             "SUBSCRIBER", "PID", "STATE", "POLICY", "RECEIVED", "MISSED",
			             "LAG", "BYTES");
		output_print("%016" PRIx64 "  %7d  %-6s  %-8s  %12" PRIu64 "  %10" PRIu64
		             "  %10" PRIu64 "  %6s%s%s\n",
		             subscriber->id, (int)subscriber->pid,
		             !subscriber->live    ? "died"
		             : subscriber->asleep ? "asleep"
		                                  : "awake",
		             subscriber->lossy ? "lossy" : "reliable", subscriber->received,
		             subscriber->missed, subscriber->lag_messages,
		             format_size(subscriber->lag_bytes, lag),
		             subscriber->problem ? "  " : "",
		             subscriber->problem ? subscriber->problem : "");
	}
}

static int print_look(const struct ayre_topic_look *look)
{
	print_geometry(ayre_topic_look_entry(look));
	print_publishers(look);
	print_subscribers(look);
	return EXIT_DONE;
}

/* --- the commands --- */

static int run_list(void *values, int operand_count, char **operands)
{
	const struct list_options *given = values;
	struct ayre_topic_list *list;
	struct ayre_error error;
	int result;

	(void)operand_count;
	(void)operands;
	if (ayre_topic_list_new(NULL, &list, &error) < 0)
		return output_error(&error);
	result = given->json ? print_list_json(list) : print_list(list);
	ayre_topic_list_free(list);
	return result;
}

const struct command topic_list_command = {
	.noun = "topic",
	.verb = "list",
	.summary = "The topics of this user, or of AYRE_DIR",
	.synopsis = "[--json]",
	.examples = "  ayre topic list\n"
		    "  ayre topic list --json | jq '.topics[].name'\n",
	.options = json_table,
	.option_count = COUNT_OF(json_table),
	.run = run_list,
	.values_bytes = sizeof(struct list_options),
};

static int run_show(void *values, int operand_count, char **operands)
{
	const struct list_options *given = values;
	struct ayre_topic_look *look;
	struct ayre_error error;
	int result;

	(void)operand_count;
	/* It follows pointers into files of others. */
	(void)!ayre_guard_install();
	result = ayre_topic_look_new(operands[0], &look, &error);
	if (result == -ENOENT && !error.detail[0])
		return output_fail("%s: %s: 'ayre topic create %s' makes it", operands[0],
		                   strerror(ENOENT), operands[0]);
	if (result < 0)
		return output_error(&error);
	result = given->json ? print_look_json(look) : print_look(look);
	ayre_topic_look_free(look);
	return result;
}

const struct command topic_show_command = {
	.noun = "topic",
	.verb = "show",
	.summary = "One topic: its publishers and subscribers, and how far each is",
	.synopsis = "TOPIC [--json]",
	.examples = "  ayre topic show prices\n"
		    "  ayre topic show prices --json | jq '.subscribers[].lag_messages'\n",
	.options = json_table,
	.option_count = COUNT_OF(json_table),
	.least_operands = 1,
	.most_operands = 1,
	.run = run_show,
	.values_bytes = sizeof(struct list_options),
};
