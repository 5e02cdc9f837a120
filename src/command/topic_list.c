/*
 * ayre topic list and show: which topics there are, and who uses one.
 */
#include "command/topic_list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command/command.h"
#include "command/message.h"
#include "command/output.h"

struct list_options {
	bool json;
};

static const struct command_option json_table[] = {
	{"json", OPTION_FLAG, NULL, offsetof(struct list_options, json), "one JSON document"},
};

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
	             entry->problem   ? "?"
	             : entry->durable ? "durable"
	             : entry->lossy   ? "lossy"
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

/* "48h", by the largest unit that there is a whole number of. */
static const char *format_age(int64_t ns, char text[32])
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {{"h", INT64_C(3600000000000)},
	             {"m", INT64_C(60000000000)},
	             {"s", 1000000000},
	             {"ms", 1000000},
	             {"us", 1000}};
	size_t i = 0;

	while (i + 1 < COUNT_OF(units) && ns % units[i].ns != 0)
		i++;
	snprintf(text, 32, "%" PRId64 "%s", ns / units[i].ns, units[i].name);
	return text;
}

static void print_log(const struct ayre_topic_entry *entry)
{
	bool is_bound_twice = entry->retain_bytes && entry->retain_age_ns;
	char extent[16], size[16], age[32], used[16];

	output_print("log: sync %s, extents of %s, ", topic_sync_name(entry),
	             format_size(entry->extent_bytes, extent));
	if (!entry->retain_bytes && !entry->retain_age_ns)
		output_print("all is kept");
	else
		output_print("at least %s%s%s of each publisher is kept%s",
		             entry->retain_bytes ? format_size(entry->retain_bytes, size) : "",
		             is_bound_twice ? " or " : "",
		             entry->retain_age_ns ? format_age(entry->retain_age_ns, age) : "",
		             is_bound_twice ? ", whichever is less" : "");
	output_print(", %s on the disk\nin memory: %s\n", format_size(entry->disk_bytes, used),
	             entry->memory_path ? entry->memory_path
	                                : "nothing: nobody has used it since the machine began");
}

static void print_geometry(const struct ayre_topic_entry *entry)
{
	char ring[16], used[16], owner[64], created[32];

	output_print(
		"%s: %s, rings of %s, mode %04" PRIo32 ", of %s, made %s, %s in use\n", entry->path,
		entry->durable ? "durable"
		: entry->lossy ? "lossy"
			       : "reliable",
		format_size(entry->ring_bytes, ring), entry->mode, format_user(entry->uid, owner),
		format_time(entry->created_ns, created), format_size(entry->used_bytes, used));
	if (entry->tag) {
		output_print("tag: ");
		print_text(entry->tag);
		output_print("\n");
	}
	if (entry->durable)
		print_log(entry);
}

/* What only a durable one has, behind its row. */
static void print_publisher_log(const struct ayre_topic_publisher *publisher)
{
	char disk[16];

	output_print("  %12" PRIu64 "  %7" PRIu64 "  %6s", publisher->safe_messages,
	             publisher->extents, format_size(publisher->disk_bytes, disk));
}

static void print_publishers(const struct ayre_topic_look *look)
{
	bool durable = ayre_topic_look_entry(look)->durable;
	const struct ayre_topic_publisher *publisher;
	char sent[16], kept[16], pid[16];

	for (size_t i = 0; (publisher = ayre_topic_look_publisher(look, i)); i++) {
		if (i == 0)
			output_print("\n%-16s  %7s  %-7s  %12s  %6s  %12s  %6s%s\n", "PUBLISHER",
			             "PID", "STATE", "MESSAGES", "BYTES", "KEPT", "BYTES",
			             durable ? "          SAFE  EXTENTS    DISK" : "");
		snprintf(pid, sizeof(pid), "%d", (int)publisher->pid);
		output_print("%016" PRIx64 "  %7s  %-7s  %12" PRIu64 "  %6s  %12" PRIu64 "  %6s",
		             publisher->id, publisher->has_ring ? pid : "-",
		             publisher->waiting  ? "waiting"
		             : publisher->live   ? "alive"
		             : publisher->closed ? "closed"
		                                 : "died",
		             publisher->messages, format_size(publisher->bytes, sent),
		             publisher->kept_messages, format_size(publisher->kept_bytes, kept));
		if (durable)
			print_publisher_log(publisher);
		output_print("%s%s\n", publisher->problem ? "  not listened to: " : "",
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
	result = given->json ? topic_print_list_json(list) : print_list(list);
	ayre_topic_list_free(list);
	return result;
}

const struct command topic_list_command = {
	.noun = "topic",
	.verb = "list",
	.summary = "List the topics of this user, or of AYRE_DIR",
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
	result = given->json ? topic_print_look_json(look) : print_look(look);
	ayre_topic_look_free(look);
	return result;
}

const struct command topic_show_command = {
	.noun = "topic",
	.verb = "show",
	.summary = "Show one topic: its publishers and subscribers, and how far each is",
	.synopsis = "TOPIC [--json]",
	.examples = "  ayre topic show prices\n"
		    "  ayre topic show prices --json | jq '.subscribers[].lag_messages'\n",
	.options = json_table,
	.option_count = COUNT_OF(json_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_TOPIC},
	.run = run_show,
	.values_bytes = sizeof(struct list_options),
};
