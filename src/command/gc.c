/*
 * ayre gc: what dead processes left in topics, removed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <ayre.h>

#include "command/command.h"
#include "command/message.h"
#include "command/output.h"

struct gc_options {
	bool dry_run, json;
};

static const struct command_option gc_table[] = {
	{"dry-run", OPTION_FLAG, NULL, offsetof(struct gc_options, dry_run),
         "remove nothing, and say what would be removed"},
	{"json", OPTION_FLAG, NULL, offsetof(struct gc_options, json), "one JSON document"},
};

static const char *const kind_names[] = {
	[AYRE_LEFTOVER_SUBSCRIBER] = "subscriber", [AYRE_LEFTOVER_BELL] = "bell",
	[AYRE_LEFTOVER_MESSAGE] = "message",       [AYRE_LEFTOVER_LANE] = "lane",
	[AYRE_LEFTOVER_TOPIC] = "topic",           [AYRE_LEFTOVER_CONTENT] = "content",
	[AYRE_LEFTOVER_REPLIES] = "replies",       [AYRE_LEFTOVER_MEMORY] = "memory",
};

/* One run of the command. */
struct collection {
	const struct gc_options *given;
	json_t *leftovers; /* of --json; NULL: there was no memory for it */
	uint64_t removed_count, removed_bytes, failed_count;
	/* Messages of publishers that are gone, which stay. */
	uint64_t kept_bytes;
	/* Of the topic that was told of last. */
	char topic[256];
	uint64_t topic_bytes;
};

static json_t *leftover_json(const struct ayre_topic_leftover *leftover)
{
	return json_pack("{s:s, s:o, s:o, s:I, s:o}", "kind", kind_names[leftover->kind], "topic",
	                 output_text_json(leftover->topic), "path",
	                 output_text_json(leftover->path), "size_bytes",
	                 (json_int_t)leftover->bytes, "error",
	                 leftover->code ? json_string(strerror(-leftover->code)) : json_null());
}

/* How content is freed is said once a topic. */
static void say_kept(struct collection *collection)
{
	char size[16];

	if (collection->topic_bytes && !collection->given->json)
		output_note("%s: %s of messages whose publishers are gone stay; "
		            "'ayre topic remove %s' frees them",
		            collection->topic, format_size(collection->topic_bytes, size),
		            collection->topic);
	collection->topic_bytes = 0;
}

static int visit(const struct ayre_topic_leftover *leftover, void *context)
{
	struct collection *collection = context;
	bool is_content = leftover->kind == AYRE_LEFTOVER_CONTENT;
	char size[16];

	if (strncmp(collection->topic, leftover->topic, sizeof(collection->topic) - 1) != 0) {
		say_kept(collection);
		snprintf(collection->topic, sizeof(collection->topic), "%s", leftover->topic);
	}
	if (is_content) {
		collection->kept_bytes += leftover->bytes;
		collection->topic_bytes += leftover->bytes;
	} else if (leftover->code) {
		collection->failed_count++;
	} else {
		collection->removed_count++;
		collection->removed_bytes += leftover->bytes;
	}
	if (collection->given->json &&
	    json_array_append_new(collection->leftovers, leftover_json(leftover)) == -1)
		return -ENOMEM;
	if (collection->given->json || is_content)
		return 0;
	if (leftover->code)
		output_note("%s: not removed: %s", leftover->path, strerror(-leftover->code));
	else
		output_print("%s: %s %s, %s\n",
		             collection->given->dry_run ? "would be removed" : "removed",
		             kind_names[leftover->kind], leftover->path,
		             format_size(leftover->bytes, size));
	return 0;
}

static int print_json(struct collection *collection)
{
	return output_json(json_pack(
		"{s:b, s:I, s:I, s:I, s:I, s:O}", "dry_run", (int)collection->given->dry_run,
		"removed_count", (json_int_t)collection->removed_count, "removed_bytes",
		(json_int_t)collection->removed_bytes, "failed_count",
		(json_int_t)collection->failed_count, "kept_bytes",
		(json_int_t)collection->kept_bytes, "leftovers", collection->leftovers));
}

/* Every topic of the root, or those that are named. */
static int collect(struct collection *collection, int operand_count, char **operands)
{
	struct ayre_topic_clear_options options = {
		.size = sizeof(options),
		.dry_run = collection->given->dry_run,
		.visit = visit,
		.context = collection,
	};
	struct ayre_error error;
	int result = EXIT_DONE;

	if (operand_count == 0 && ayre_topic_clear(&options, &error) < 0)
		result = output_error(&error);
	for (int i = 0; i < operand_count && !message_interrupted(); i++) {
		options.name = operands[i];
		if (ayre_topic_clear(&options, &error) < 0)
			result = output_error(&error);
	}
	say_kept(collection);
	return result;
}

static int run_gc(void *values, int operand_count, char **operands)
{
	struct collection collection = {.given = values, .leftovers = json_array()};
	int result;

	message_begin();
	result = collect(&collection, operand_count, operands);
	if (result == EXIT_DONE && collection.given->json)
		result = print_json(&collection);
	json_decref(collection.leftovers);
	return message_end(result);
}

const struct command gc_command = {
	.verb = "gc",
	.summary = "Remove what dead processes left in topics",
	.synopsis = "[TOPIC]... [--dry-run] [--json]",
	.examples = "  ayre gc --dry-run\n"
		    "  ayre gc /dev/shm/shared/news\n",
	.options = gc_table,
	.option_count = COUNT_OF(gc_table),
	.most_operands = -1,
	.operand_kinds = {OPERAND_TOPIC, OPERAND_TOPIC},
	.run = run_gc,
	.values_bytes = sizeof(struct gc_options),
};
