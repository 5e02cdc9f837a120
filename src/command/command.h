/*
 * What a subcommand is: a row in a table. From the rows come the dispatch, the parsing of the
 * options and the help, so that the three cannot differ.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_LOST = 3, /* somebody died without closing */
	EXIT_DEADLINE = 124,
	EXIT_UNLOADABLE = 126,
	EXIT_SIGNAL = 128, /* and the signal's number */
};

enum option_kind {
	OPTION_FLAG,      /* bool */
	OPTION_SIZE,      /* struct size_option */
	OPTION_MODE,      /* uint32_t, 0: not given */
	OPTION_TEXT,      /* const char *, NULL: not given */
	OPTION_FILE,      /* the same: a file's path */
	OPTION_DIRECTORY, /* the same: a directory's */
	OPTION_DURATION,  /* struct duration_option */
	OPTION_COUNT,     /* struct count_option */
	OPTION_CHOICE,    /* uint32_t: which word of the argument, from 1; 0: not given */
	OPTION_PATHS,     /* struct list_option: may be given several times */
	OPTION_LAYERS,    /* uint32_t: those of enum ayre_layer; may be given several times */
};

/* What a word that is no option stands for. */
enum operand_kind {
	OPERAND_TEXT, /* anything */
	OPERAND_FILE,
	OPERAND_SEGMENT,
	OPERAND_TOPIC,
	OPERAND_WORD,     /* one of operand_word() */
	OPERAND_PIPELINE, /* programs and their arguments, from here on */
};

/* What an option's value is stored in, where "not given" has to be told from zero. */
struct size_option {
	bool given;
	uint64_t bytes;
};

struct duration_option {
	bool given;
	int64_t ns;
};

struct count_option {
	bool given;
	uint64_t count;
};

#define LIST_MAX 32

struct list_option {
	size_t count;
	const char *texts[LIST_MAX];
};

struct command_option {
	const char *name; /* without the dashes */
	enum option_kind kind;
	/* Its name in the help; NULL for a flag. Of several between bars, those in small letters stand for themselves. */
	const char *argument;
	size_t offset; /* in the command's struct of options */
	const char *help;
};

#define OPERAND_KINDS 2

struct command {
	const char *noun; /* NULL: the verb stands alone */
	const char *verb;
	const char *summary;  /* one line */
	const char *synopsis; /* what follows the name */
	const char *examples; /* lines, each a whole command */
	const struct command_option *options;
	size_t option_count;
	int least_operands, most_operands; /* most < 0: any number */
	bool operands_end_options;         /* what follows the first operand is not ours to parse */
	/* What the operands are, in order; the last is also that of all others. */
	enum operand_kind operand_kinds[OPERAND_KINDS];
	const char *(*operand_word)(size_t index); /* of OPERAND_WORD; NULL beyond the last */
	/* values: the zeroed struct that the options point into. Returns an exit code. */
	int (*run)(void *values, int operand_count, char **operands);
	size_t values_bytes;
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Every command; ends with a row whose verb is NULL. */
extern const struct command *const commands[];

extern const struct command bench_command;
extern const struct command call_command;
extern const struct command completion_command;
extern const struct command doctor_command;
extern const struct command fifo_create_command;
extern const struct command fifo_read_command;
extern const struct command fifo_remove_command;
extern const struct command fifo_write_command;
extern const struct command gc_command;
extern const struct command pub_command;
extern const struct command run_command;
extern const struct command segment_create_command;
extern const struct command segment_list_command;
extern const struct command segment_read_command;
extern const struct command segment_remove_command;
extern const struct command segment_resize_command;
extern const struct command segment_show_command;
extern const struct command segment_sync_command;
extern const struct command segment_write_command;
extern const struct command sub_command;
extern const struct command topic_create_command;
extern const struct command topic_list_command;
extern const struct command topic_remove_command;
extern const struct command topic_repair_command;
extern const struct command topic_show_command;
extern const struct command topic_verify_command;
extern const struct command worker_posture_command;
extern const struct command worker_selftest_command;
