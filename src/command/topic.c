/*
 * ayre topic create and remove.
 */
#include <errno.h>
#include <string.h>

#include <ayre.h>

#include "command/command.h"
#include "command/message.h"
#include "command/output.h"

/* --- create --- */

struct create_options {
	struct size_option size, extent, retain_bytes;
	bool lossy, exclusive, durable;
	const char *tag;
	uint32_t sync; /* enum ayre_topic_sync */
	uint32_t mode;
	struct duration_option retain_age;
};

static const struct command_option create_table[] = {
	{"size", OPTION_SIZE, "SIZE", offsetof(struct create_options, size),
         "bytes of each publisher's ring, rounded up to a power of two (1M)"},
	{"lossy", OPTION_FLAG, NULL, offsetof(struct create_options, lossy),
         "publishers wait for nobody: who is slow misses messages"},
	{"durable", OPTION_FLAG, NULL, offsetof(struct create_options, durable),
         "fail unless the path is on a disk"},
	{"sync", OPTION_CHOICE, "none|group|each", offsetof(struct create_options, sync),
         "on a disk, messages are safe: none (some time), group (when asked for), each (group)"},
	{"extent", OPTION_SIZE, "SIZE", offsetof(struct create_options, extent),
         "on a disk: bytes in one file of a publisher's log (64M)"},
	{"retain-bytes", OPTION_SIZE, "SIZE", offsetof(struct create_options, retain_bytes),
         "on a disk: keep at least so much of each publisher (all of it)"},
	{"retain-age", OPTION_DURATION, "DURATION", offsetof(struct create_options, retain_age),
         "on a disk: keep at least what is so young: 90m, 48h (all of it)"},
	{"tag", OPTION_TEXT, "TEXT", offsetof(struct create_options, tag),
         "what the messages are; checked by programs that open it"},
	{"mode", OPTION_MODE, "MODE", offsetof(struct create_options, mode),
         "who may subscribe (r) and publish (w), whatever the umask (0600)"},
	{"exclusive", OPTION_FLAG, NULL, offsetof(struct create_options, exclusive),
         "fail if it is there already"},
};

/* What only a topic on a disk has. */
static int check_durable(const struct create_options *given)
{
	if (given->extent.given && given->extent.bytes == 0)
		return output_usage("--extent: an extent has 1 byte or more");
	if (given->retain_bytes.given && given->retain_bytes.bytes == 0)
		return output_usage("--retain-bytes: 1 byte or more");
	if (given->retain_age.given && given->retain_age.ns == 0)
		return output_usage("--retain-age: more than nothing");
	if (given->lossy && given->durable)
		return output_usage("--lossy and --durable exclude each other");
	return EXIT_DONE;
}

static int check_create(const struct create_options *given)
{
	uint32_t readers = given->mode & 0444, writers = given->mode & 0222;

	if (given->size.given && given->size.bytes == 0)
		return output_usage("--size: a ring has 1 byte or more");
	if (given->tag && (!given->tag[0] || strlen(given->tag) > AYRE_TOPIC_TAG_MAX))
		return output_usage("--tag: a tag has 1 to %d bytes", AYRE_TOPIC_TAG_MAX);
	if (given->mode && (given->mode & 0600) != 0600)
		return output_usage("--mode: its owner may always publish and subscribe");
	if (writers & ~(readers >> 1))
		return output_usage("--mode: who may publish may subscribe as well");
	return check_durable(given);
}

static int run_create(void *values, int operand_count, char **operands)
{
	const struct create_options *given = values;
	struct ayre_topic_options options = {
		.size = sizeof(options),
		.flags = (given->lossy ? AYRE_TOPIC_LOSSY : 0) |
	                 (given->exclusive ? AYRE_TOPIC_EXCLUSIVE : 0) |
	                 (given->durable ? AYRE_TOPIC_DURABLE : 0),
		.mode = given->mode,
		.ring_bytes = given->size.bytes,
		.tag = given->tag,
		.sync = given->sync,
		.extent_bytes = given->extent.bytes,
		.retain_bytes = given->retain_bytes.bytes,
		.retain_age_ns = given->retain_age.ns,
	};
	struct ayre_error error;
	int result = check_create(given);

	(void)operand_count;
	if (result != EXIT_DONE)
		return result;
	/* What ends us in the middle would leave half of a topic. */
	message_begin();
	result = ayre_topic_create(&options, operands[0], &error);
	if (result < 0)
		return message_end(output_error(&error));
	if (result == 0)
		output_note("%s: it was there already, and stays as it is", operands[0]);
	return message_end(EXIT_DONE);
}

const struct command topic_create_command = {
	.noun = "topic",
	.verb = "create",
	.summary = "Make a topic, if it is missing",
	.synopsis = "TOPIC [--size SIZE] [--lossy] [--tag TEXT] [--mode MODE] [--exclusive]\n"
		    "       [--durable] [--sync none|group|each] [--extent SIZE]\n"
		    "       [--retain-bytes SIZE] [--retain-age DURATION]",
	.examples =
		"  ayre topic create prices\n"
		"  ayre topic create samples --size 16M --lossy --tag 'samples v1'\n"
		"  ayre topic create /dev/shm/shared/news --mode 0644\n"
		"  ayre topic create /var/lib/orders/log --durable --sync each --retain-age 720h\n",
	.options = create_table,
	.option_count = COUNT_OF(create_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_TOPIC},
	.run = run_create,
	.values_bytes = sizeof(struct create_options),
};

/* --- remove --- */

struct remove_options {
	bool force;
};

static const struct command_option remove_table[] = {
	{"force", OPTION_FLAG, NULL, offsetof(struct remove_options, force),
         "also while it is in use; who uses it goes on, unseen by others"},
};

static int run_remove(void *values, int operand_count, char **operands)
{
	const struct remove_options *given = values;
	struct ayre_error error;

	(void)operand_count;
	message_begin();
	if (ayre_topic_remove(operands[0], given->force, &error) < 0)
		return message_end(output_error(&error));
	return message_end(EXIT_DONE);
}

const struct command topic_remove_command = {
	.noun = "topic",
	.verb = "remove",
	.summary = "Remove a topic with the messages in it",
	.synopsis = "TOPIC [--force]",
	.examples = "  ayre topic remove prices\n",
	.options = remove_table,
	.option_count = COUNT_OF(remove_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_TOPIC},
	.run = run_remove,
	.values_bytes = sizeof(struct remove_options),
};
