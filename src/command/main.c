/*
 * The command `ayre`: finds the row of a subcommand, parses its options, runs it.
 *
 * Invariant: whatever a subcommand printed has reached standard output, or the exit code says
 * that it has not.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ayre.h>

#include "command/command.h"
#include "command/help.h"
#include "command/options.h"
#include "command/output.h"

/* In the order in which the help shows them. */
const struct command *const commands[] = {
	&segment_create_command,
	&segment_write_command,
	&segment_read_command,
	&segment_resize_command,
	&segment_sync_command,
	&segment_list_command,
	&segment_show_command,
	&segment_remove_command,
	&fifo_create_command,
	&fifo_read_command,
	&fifo_write_command,
	&fifo_remove_command,
	&run_command,
	&topic_create_command,
	&topic_list_command,
	&topic_show_command,
	&topic_remove_command,
	&topic_verify_command,
	&topic_repair_command,
	&pub_command,
	&sub_command,
	&call_command,
	&worker_posture_command,
	&worker_selftest_command,
	&bench_command,
	&doctor_command,
	&gc_command,
	&completion_command,
	NULL,
};

/*
 * A program that was started with a standard stream closed would get that number for its next
 * descriptor, and write its output into a segment. Opened as a mere place (O_PATH), so that to read
 * or write it is the error that it was, also for the programs that inherit it.
 */
static void occupy_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) == -1 && errno == EBADF)
			(void)!open("/dev/null", O_PATH);
}

static int run(const struct command *command, int argument_count, char **arguments)
{
	struct parsed_options parsed;
	int result = options_parse(command, argument_count, arguments, &parsed);

	if (result != EXIT_DONE)
		return result;
	if (parsed.help)
		help_command(stdout, command);
	else
		result = command->run(parsed.values, parsed.operand_count, parsed.operands);
	free(parsed.values);
	return result;
}

static bool is_noun(const char *word)
{
	for (const struct command *const *row = commands; *row; row++)
		if ((*row)->noun && strcmp((*row)->noun, word) == 0)
			return true;
	return false;
}

static const struct command *find(const char *noun, const char *verb)
{
	for (const struct command *const *row = commands; *row; row++) {
		if (strcmp((*row)->verb, verb) != 0)
			continue;
		if (noun ? (*row)->noun && strcmp((*row)->noun, noun) == 0 : !(*row)->noun)
			return *row;
	}
	return NULL;
}

static bool asks_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* ayre NOUN ... */
static int run_noun(int argument_count, char **arguments)
{
	const char *noun = arguments[0];
	const struct command *command;

	if (argument_count < 2) {
		help_noun(stderr, noun);
		return EXIT_USAGE;
	}
	if (asks_help(arguments[1])) {
		help_noun(stdout, noun);
		return EXIT_DONE;
	}
	command = find(noun, arguments[1]);
	if (!command) {
		output_name(noun, NULL);
		return output_unknown(arguments[1], help_nearest(noun, arguments[1]));
	}
	output_name(noun, command->verb);
	return run(command, argument_count - 1, arguments + 1);
}

/* ayre help [COMMAND] */
static int run_help(int word_count, char **words)
{
	const struct command *command;
	int most = word_count > 0 && is_noun(words[0]) ? 2 : 1;

	if (word_count == 0) {
		help_all(stdout);
		return EXIT_DONE;
	}
	if (word_count > most) {
		output_name("help", NULL);
		return output_usage("'%s' is one word too many", words[most]);
	}
	if (most == 2) {
		if (word_count == 1) {
			help_noun(stdout, words[0]);
			return EXIT_DONE;
		}
		command = find(words[0], words[1]);
	} else {
		command = find(NULL, words[0]);
	}
	if (!command) {
		output_name("help", NULL);
		return output_unknown(words[word_count > 1 ? 1 : 0], NULL);
	}
	help_command(stdout, command);
	return EXIT_DONE;
}

static int dispatch(int argument_count, char **arguments)
{
	const struct command *command;
	const char *word;

	if (argument_count < 2) {
		help_all(stderr);
		return EXIT_USAGE;
	}
	word = arguments[1];
	if (asks_help(word))
		return run_help(0, NULL);
	if (strcmp(word, "help") == 0)
		return run_help(argument_count - 2, arguments + 2);
	if (strcmp(word, "--version") == 0) {
		printf("ayre %s\n", ayre_version());
		return EXIT_DONE;
	}
	if (is_noun(word))
		return run_noun(argument_count - 1, arguments + 1);
	command = find(NULL, word);
	if (!command)
		return output_unknown(word, help_nearest(NULL, word));
	output_name(NULL, word);
	return run(command, argument_count - 1, arguments + 1);
}

int main(int argument_count, char **arguments)
{
	int result;

	occupy_standard_streams();
	/* A file size limit is an error to report, not a signal to die of. */
	signal(SIGXFSZ, SIG_IGN);
	result = dispatch(argument_count, arguments);
	return output_finish(result);
}
