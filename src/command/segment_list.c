/*
 * ayre segment list and show: the segments of the machine, and who has them mapped.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/command.h"
#include "command/output.h"
#include "command/segment.h"

/* How many users a row of the table names; the rest is a number. */
#define USERS_SHOWN 2

struct list_options {
	bool json;
	uint32_t backing; /* enum ayre_backing */
};

static const struct command_option list_table[] = {
	{"json", OPTION_FLAG, NULL, offsetof(struct list_options, json), "one JSON document"},
	{"backing", OPTION_CHOICE, "sysv|shm|file|memfd", offsetof(struct list_options, backing),
         "only these"},
};

static const struct command_option show_table[] = {
	{"json", OPTION_FLAG, NULL, offsetof(struct list_options, json), "one JSON document"},
};

static const char *const backing_names[] = {
	[AYRE_BACKING_SYSV] = "sysv",
	[AYRE_BACKING_SHM] = "shm",
	[AYRE_BACKING_FILE] = "file",
	[AYRE_BACKING_MEMFD] = "memfd",
};

/* --- as JSON --- */

static json_t *user_json(const struct ayre_segment_user *user)
{
	char name[64];

	return json_pack("{s:i, s:o, s:I, s:s, s:b, s:I, s:I}", "pid", (int)user->pid, "command",
	                 output_text_json(user->command), "uid", (json_int_t)user->uid, "user",
	                 format_user(user->uid, name), "writable", (int)user->writable,
	                 "mapped_bytes", (json_int_t)user->mapped_bytes, "started_ns",
	                 (json_int_t)user->started_ns);
}

static json_t *users_json(const struct ayre_segment_entry *entry)
{
	json_t *users = json_array();

	for (size_t i = 0; users && i < entry->user_count; i++) {
		if (json_array_append_new(users, user_json(&entry->users[i])) == -1) {
			json_decref(users);
			return NULL;
		}
	}
	return users;
}

/* -1 stands for what there is not. */
static json_t *number_or_null(int64_t number)
{
	return number < 0 ? json_null() : json_integer(number);
}

/* What the maps of a process do not tell and stat(2) could not reach. */
static bool has_owner(const struct ayre_segment_entry *entry)
{
	return entry->uid != UINT32_MAX;
}

static json_t *owner_json(const struct ayre_segment_entry *entry)
{
	char owner[64];

	return has_owner(entry) ? json_string(format_user(entry->uid, owner)) : json_null();
}

static json_t *entry_json(const struct ayre_segment_entry *entry)
{
	char mode[8], key[16];

	snprintf(mode, sizeof(mode), "%04" PRIo32, entry->mode);
	snprintf(key, sizeof(key), "0x%08" PRIx32, (uint32_t)entry->key);
	return json_pack(
		"{s:o, s:s, s:o, s:b, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o}",
		"name", output_text_json(entry->name), "backing", backing_names[entry->backing],
		"tag", output_text_json(entry->tag), "removed", (int)entry->removed, "size_bytes",
		(json_int_t)entry->size_bytes, "resident_bytes", (json_int_t)entry->resident_bytes,
		"mode", mode, "uid", number_or_null(has_owner(entry) ? (int64_t)entry->uid : -1),
		"gid", number_or_null(has_owner(entry) ? (int64_t)entry->gid : -1), "owner",
		owner_json(entry), "key", entry->key < 0 ? json_null() : json_string(key), "id",
		number_or_null(entry->id), "attached_count", (json_int_t)entry->attached_count,
		"changed_ns", number_or_null(entry->changed_ns), "processes", users_json(entry));
}

static int print_list_json(const struct ayre_segment_list *list)
{
	json_t *segments = json_array();

	for (size_t i = 0; segments && i < ayre_segment_list_count(list); i++) {
		json_t *entry = entry_json(ayre_segment_list_entry(list, i));

		if (json_array_append_new(segments, entry) == -1) {
			json_decref(segments);
			segments = NULL;
		}
	}
	return output_json(json_pack("{s:o, s:I}", "segments", segments, "processes_unseen",
	                             (json_int_t)ayre_segment_list_unseen(list)));
}

/* --- for people --- */

/* A name may hold anything; a terminal gets what prints. */
static void print_text(const char *text)
{
	for (const char *c = text; *c; c++)
		output_print("%c", (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
}

static const char *format_owner(const struct ayre_segment_entry *entry, char text[64])
{
	return has_owner(entry) ? format_user(entry->uid, text) : "?";
}

static void print_users(const struct ayre_segment_entry *entry)
{
	if (entry->user_count == 0)
		output_print("-");
	for (size_t i = 0; i < entry->user_count && i < USERS_SHOWN; i++) {
		output_print("%s%d ", i ? ", " : "", (int)entry->users[i].pid);
		print_text(entry->users[i].command);
	}
	if (entry->user_count > USERS_SHOWN)
		output_print(" and %zu more", entry->user_count - USERS_SHOWN);
}

static void print_row(const struct ayre_segment_entry *entry, int name_width)
{
	char size[16], resident[16], owner[64];
	int width = (int)strlen(entry->name);

	print_text(entry->name);
	output_print("%*s  %5s  %8s  %04" PRIo32 "  %-8s  ",
	             width < name_width ? name_width - width : 0, "",
	             format_size(entry->size_bytes, size),
	             format_size(entry->resident_bytes, resident), entry->mode,
	             format_owner(entry, owner));
	print_users(entry);
	output_print("%s\n", entry->removed ? "  (removed)" : "");
}

static void note_unseen(const struct ayre_segment_list *list)
{
	size_t unseen = ayre_segment_list_unseen(list);

	if (unseen)
		output_note("%zu process%s may not be looked into by this user", unseen,
		            unseen == 1 ? "" : "es");
}

/* Longer names push their own row to the right, not everybody's. */
#define NAME_WIDTH_MAX 40

static int print_list(const struct ayre_segment_list *list)
{
	size_t count = ayre_segment_list_count(list);
	int name_width = (int)strlen("SEGMENT");

	for (size_t i = 0; i < count; i++) {
		int width = (int)strlen(ayre_segment_list_entry(list, i)->name);

		if (width > name_width && width <= NAME_WIDTH_MAX)
			name_width = width;
	}
	if (count)
		output_print("%-*s  %5s  %8s  %-4s  %-8s  %s\n", name_width, "SEGMENT", "SIZE",
		             "RESIDENT", "MODE", "OWNER", "PROCESSES");
	for (size_t i = 0; i < count; i++)
		print_row(ayre_segment_list_entry(list, i), name_width);
	note_unseen(list);
	return EXIT_DONE;
}

static int run_list(void *values, int operand_count, char **operands)
{
	const struct list_options *given = values;
	struct ayre_segment_list_options options = {.size = sizeof(options)};
	struct ayre_segment_list *list;
	struct ayre_error error;
	int result;

	(void)operand_count;
	(void)operands;
	if (given->backing)
		options.backings = 1u << given->backing;
	if (ayre_segment_list_new(&options, &list, &error) < 0)
		return output_error(&error);
	result = given->json ? print_list_json(list) : print_list(list);
	ayre_segment_list_free(list);
	return result;
}

const struct command segment_list_command = {
	.noun = "segment",
	.verb = "list",
	.summary = "List every shared segment on the machine, and who has it mapped",
	.synopsis = "[--json] [--backing sysv|shm|file|memfd]",
	.examples = "  ayre segment list\n"
		    "  ayre segment list --backing sysv --json | jq '.segments[].name'\n",
	.options = list_table,
	.option_count = COUNT_OF(list_table),
	.most_operands = 0,
	.run = run_list,
	.values_bytes = sizeof(struct list_options),
};

/* --- show --- */

static void print_row_of_users(const struct ayre_segment_user *user)
{
	char name[64], started[32], mapped[16];

	output_print("  %7d  %-8s  %-5s  %6s  %-19s  ", (int)user->pid,
	             format_user(user->uid, name), user->writable ? "write" : "read",
	             format_size(user->mapped_bytes, mapped),
	             format_time(user->started_ns, started));
	print_text(user->command);
	output_print("\n");
}

static int print_entry(const struct ayre_segment_entry *entry, bool all_seen)
{
	char text[64];

	output_print("name       ");
	print_text(entry->name);
	output_print("%s\n", entry->removed ? "  (removed)" : "");
	if (entry->tag) {
		output_print("tag        ");
		print_text(entry->tag);
		output_print("\n");
	}
	output_print("size       %" PRIu64 " bytes\n", entry->size_bytes);
	output_print("resident   %" PRIu64 " bytes\n", entry->resident_bytes);
	output_print("owner      %s, mode %04" PRIo32 "\n", format_owner(entry, text), entry->mode);
	if (entry->backing == AYRE_BACKING_SYSV)
		output_print("System V   key 0x%08" PRIx32 ", id %" PRId64 ", attached %" PRIu64
		             " times\n",
		             (uint32_t)entry->key, entry->id, entry->attached_count);
	output_print("changed    %s\n", format_time(entry->changed_ns, text));
	if (entry->user_count == 0)
		return output_print("mapped by  no process%s\n",
		                    all_seen ? "" : " that this user may look into");
	output_print("mapped by\n  %7s  %-8s  %-5s  %6s  %-19s  %s\n", "PID", "USER", "MAY",
	             "MAPPED", "RUNNING SINCE", "COMMAND");
	for (size_t i = 0; i < entry->user_count; i++)
		print_row_of_users(&entry->users[i]);
	return EXIT_DONE;
}

static int print_entry_json(const struct ayre_segment_entry *entry,
                            const struct ayre_segment_list *list)
{
	json_t *document = entry_json(entry);

	if (document &&
	    json_object_set_new(document, "processes_unseen",
	                        json_integer((json_int_t)ayre_segment_list_unseen(list))) == -1) {
		json_decref(document);
		document = NULL;
	}
	return output_json(document);
}

static int run_show(void *values, int operand_count, char **operands)
{
	const struct list_options *given = values;
	struct ayre_segment_list_options options = {.size = sizeof(options), .name = operands[0]};
	struct ayre_segment_list *list;
	struct ayre_error error;
	const struct ayre_segment_entry *entry;
	int result;

	(void)operand_count;
	if (ayre_segment_list_new(&options, &list, &error) < 0)
		return segment_report(&error, operands[0]);
	entry = ayre_segment_list_entry(list, 0);
	result = given->json ? print_entry_json(entry, list)
	                     : print_entry(entry, ayre_segment_list_unseen(list) == 0);
	if (!given->json)
		note_unseen(list);
	ayre_segment_list_free(list);
	return result;
}

const struct command segment_show_command = {
	.noun = "segment",
	.verb = "show",
	.summary = "Show one segment: sizes, owner, and who has it mapped since when",
	.synopsis = "NAME [--json]",
	.examples = "  ayre segment show sysv:shmdemo.c:R\n",
	.options = show_table,
	.option_count = COUNT_OF(show_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_SEGMENT},
	.run = run_show,
	.values_bytes = sizeof(struct list_options),
};
