/*
 * What the verbs of `ayre segment` share, and the short ones among them: create, resize, sync,
 * remove.
 */
#include "command/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "command/command.h"
#include "command/options.h"
#include "command/output.h"

int segment_report(const struct ayre_error *error, const char *name)
{
	if (error->code == -ENOENT && !error->detail[0])
		return output_fail("%s: %s: 'ayre segment create %s --size 1K' makes it", name,
		                   strerror(ENOENT), name);
	return output_error(error);
}

int segment_fail(const char *name, int code)
{
	if (code == -ESTALE)
		return output_fail("%s: another process has cut it short", name);
	return output_fail("%s: %s", name, strerror(-code));
}

struct ayre_segment *segment_open_existing(const char *name, uint32_t flags)
{
	struct ayre_segment_options options = {.size = sizeof(options), .flags = flags};
	struct ayre_segment *segment;
	struct ayre_error error;

	if (ayre_segment_open(&options, name, &segment, &error) < 0) {
		segment_report(&error, name);
		return NULL;
	}
	return segment;
}

/*
 * What ends us in the middle of a creation would leave the file that marks it. SIGINT and the
 * like wait until it is done; not for System V, where another user's initialiser can take
 * as long as it likes and leaves nothing that the next one does not take over.
 */
int segment_create(const struct ayre_segment_options *options, const char *name,
                   struct ayre_segment **ret_segment, struct ayre_error *error)
{
	sigset_t ending, before;
	int result;

	sigemptyset(&ending);
	if (strncmp(name, "sysv:", strlen("sysv:")) != 0) {
		sigaddset(&ending, SIGINT);
		sigaddset(&ending, SIGTERM);
		sigaddset(&ending, SIGHUP);
	}
	sigprocmask(SIG_BLOCK, &ending, &before);
	result = ayre_segment_open(options, name, ret_segment, error);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return result;
}

/* --- create --- */

struct create_options {
	struct size_option size;
	uint32_t mode;
	bool exclusive;
	const char *tag;
	bool huge;
};

static const struct command_option create_table[] = {
	{"size", OPTION_SIZE, "SIZE", offsetof(struct create_options, size),
         "bytes of data: 4096, 64K, 1M, 2G"},
	{"mode", OPTION_MODE, "MODE", offsetof(struct create_options, mode),
         "permissions, whatever the umask (0644)"},
	{"exclusive", OPTION_FLAG, NULL, offsetof(struct create_options, exclusive),
         "fail if it is there already"},
	{"tag", OPTION_TEXT, "TEXT", offsetof(struct create_options, tag),
         "typed: a header with this tag, checked at open"},
	{"huge", OPTION_FLAG, NULL, offsetof(struct create_options, huge),
         "ask for huge pages, and say whether they came"},
};

static void say_huge(const struct ayre_segment *segment, const char *name)
{
	struct ayre_segment_info info = {.size = sizeof(info)};

	if (ayre_segment_get_info(segment, &info) == 0 && info.huge_bytes == 0)
		output_note(
			"%s: made with small pages: the kernel gave no huge ones "
			"(/sys/kernel/mm/transparent_hugepage/shmem_enabled: 'advise' allows them)",
			name);
}

static int run_create(void *values, int operand_count, char **operands)
{
	const struct create_options *given = values;
	const char *name = operands[0];
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.flags = AYRE_SEGMENT_CREATE | (given->exclusive ? AYRE_SEGMENT_EXCLUSIVE : 0) |
	                 (given->huge ? AYRE_SEGMENT_HUGE : 0),
		.mode = given->mode,
		.size_bytes = given->size.bytes,
		.tag = given->tag,
	};
	struct ayre_segment *segment;
	struct ayre_error error;
	int result;

	(void)operand_count;
	if (!given->size.given)
		return output_usage("--size is missing, such as --size 64K");
	if (given->size.bytes == 0)
		return output_usage("--size: a segment has 1 byte or more");
	if (given->tag && (!given->tag[0] || strlen(given->tag) > AYRE_SEGMENT_TAG_MAX))
		return output_usage("--tag: a tag has 1 to %d bytes", AYRE_SEGMENT_TAG_MAX);
	result = segment_create(&options, name, &segment, &error);
	if (result < 0)
		return output_error(&error);
	if (result == 0)
		output_note("%s: it was there already, with %zu bytes", name,
		            ayre_segment_size(segment));
	else if (given->huge)
		say_huge(segment, name);
	ayre_segment_close(segment);
	return EXIT_DONE;
}

const struct command segment_create_command = {
	.noun = "segment",
	.verb = "create",
	.summary = "Make a segment of zeros, if it is missing",
	.synopsis = "NAME --size SIZE [--mode MODE] [--exclusive] [--tag TEXT] [--huge]",
	.examples = "  ayre segment create greeting --size 1K\n"
		    "  ayre segment create sysv:shmdemo.c:R --size 1K --mode 0600\n"
		    "  ayre segment create file:/tmp/table --size 64M --tag 'table v1'\n",
	.options = create_table,
	.option_count = COUNT_OF(create_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_SEGMENT},
	.run = run_create,
	.values_bytes = sizeof(struct create_options),
};

/* --- resize --- */

/* Who would lose pages? Those whose maps we may see, that is. */
static int refuse_if_mapped(const char *name)
{
	struct ayre_segment_list_options options = {.size = sizeof(options), .name = name};
	struct ayre_segment_list *list;
	struct ayre_error error;
	const struct ayre_segment_entry *entry;
	int result = EXIT_DONE;

	if (ayre_segment_list_new(&options, &list, &error) < 0)
		return output_error(&error);
	entry = ayre_segment_list_entry(list, 0);
	if (entry && entry->user_count > 0)
		result = output_fail("%s: %s: %zu process%s mapped it (pid %d%s): smaller, it "
		                     "would take pages from under them",
		                     name, strerror(EBUSY), entry->user_count,
		                     entry->user_count == 1 ? " has" : "es have",
		                     (int)entry->users[0].pid,
		                     entry->user_count == 1 ? "" : " and others");
	if (result == EXIT_DONE && ayre_segment_list_unseen(list))
		output_note(
			"%s: %zu processes may not be looked into: one that has it mapped loses "
			"what is cut off",
			name, ayre_segment_list_unseen(list));
	ayre_segment_list_free(list);
	return result;
}

static int run_resize(void *values, int operand_count, char **operands)
{
	const char *name = operands[0];
	struct ayre_segment *segment;
	struct ayre_error error;
	uint64_t bytes;
	int result = EXIT_DONE;

	(void)values;
	(void)operand_count;
	if (!parse_size(operands[1], &bytes))
		return output_usage("'%s' is not a size (such as 4096, 64K, 1M, 2G)", operands[1]);
	if (bytes == 0)
		return output_usage("a segment has 1 byte or more");
	segment = segment_open_existing(name, 0);
	if (!segment)
		return EXIT_FAILED;
	if (bytes < ayre_segment_size(segment)) {
		/* Our own map is not somebody else's: let it go while we look. */
		ayre_segment_close(segment);
		result = refuse_if_mapped(name);
		segment = result == EXIT_DONE ? segment_open_existing(name, 0) : NULL;
		if (!segment)
			return EXIT_FAILED;
	}
	if (ayre_segment_resize(segment, bytes, &error) < 0)
		result = output_error(&error);
	ayre_segment_close(segment);
	return result;
}

const struct command segment_resize_command = {
	.noun = "segment",
	.verb = "resize",
	.summary = "Make a segment larger while others use it, or smaller if nobody does",
	.synopsis = "NAME SIZE",
	.examples = "  ayre segment resize file:/tmp/table 128M\n",
	.least_operands = 2,
	.most_operands = 2,
	.operand_kinds = {OPERAND_SEGMENT},
	.run = run_resize,
};

/* --- sync --- */

struct sync_options {
	bool async, invalidate;
};

static const struct command_option sync_table[] = {
	{"async", OPTION_FLAG, NULL, offsetof(struct sync_options, async),
         "only ask the kernel to write; promises nothing"},
	{"invalidate", OPTION_FLAG, NULL, offsetof(struct sync_options, invalidate),
         "wait, and refresh every other map of the file"},
};

int segment_sync_and_say(struct ayre_segment *segment, const char *name, uint64_t offset,
                         uint64_t length, enum ayre_sync how)
{
	int result = ayre_segment_sync(segment, offset, length, how);

	if (result < 0)
		return output_fail("%s: not on the disk: %s", name, strerror(-result));
	if (result == 1)
		output_note(
			"%s: it is in memory and ends with the machine; there is no disk to bring "
			"it to",
			name);
	return EXIT_DONE;
}

static int run_sync(void *values, int operand_count, char **operands)
{
	const struct sync_options *given = values;
	struct ayre_segment *segment;
	int result;

	(void)operand_count;
	if (given->async && given->invalidate)
		return output_usage("--async and --invalidate exclude each other");
	segment = segment_open_existing(operands[0], AYRE_SEGMENT_READ_ONLY);
	if (!segment)
		return EXIT_FAILED;
	result = segment_sync_and_say(segment, operands[0], 0, 0,
	                              given->async        ? AYRE_SYNC_ASYNC
	                              : given->invalidate ? AYRE_SYNC_INVALIDATE
	                                                  : AYRE_SYNC_WAIT);
	ayre_segment_close(segment);
	return result;
}

const struct command segment_sync_command = {
	.noun = "segment",
	.verb = "sync",
	.summary = "Bring a mapped file's bytes to its disk, and wait until they are there",
	.synopsis = "NAME [--async | --invalidate]",
	.examples = "  ayre segment sync file:/tmp/table\n",
	.options = sync_table,
	.option_count = COUNT_OF(sync_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_SEGMENT},
	.run = run_sync,
	.values_bytes = sizeof(struct sync_options),
};

/* --- remove --- */

static int run_remove(void *values, int operand_count, char **operands)
{
	struct ayre_error error;

	(void)values;
	(void)operand_count;
	if (ayre_segment_remove(operands[0], &error) < 0)
		return output_error(&error);
	return EXIT_DONE;
}

const struct command segment_remove_command = {
	.noun = "segment",
	.verb = "remove",
	.summary = "Take a segment's name away; who has it mapped keeps it",
	.synopsis = "NAME",
	.examples = "  ayre segment remove greeting\n",
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_SEGMENT},
	.run = run_remove,
};
