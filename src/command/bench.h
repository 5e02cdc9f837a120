/*
 * What a benchmark is: a row in a table, that runs groups of rows. The harness measures the rows
 * of a group in turns, round after round, so that what drifts drifts for all of them; and a
 * group's first row, its floor, is what the hardware or the bare kernel gives for the same work.
 *
 * Invariant: a figure that is printed has its floor from the same round beside it, and its
 * spread; what could not be measured stands in the report with the reason.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sched.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#define BENCH_ROUNDS_MAX 31
#define BENCH_ROWS_MAX   16
#define BENCH_GROUPS_MAX 24

struct bench_settings {
	bool quick;
	unsigned int rounds;        /* without the warm-up; at most BENCH_ROUNDS_MAX */
	unsigned int wanted_rounds; /* by who runs it; 0: as the benchmark has it */
	int64_t least_ns;           /* a sample shorter than this is repeated more often */
	/* What was asked for: "topic", "topic/stream_48"; none: everything. Borrowed. */
	char *const *names;
	int name_count;
	const char *directory; /* for files; NULL: the usual one. Borrowed. */
};

/* As many as a benchmark has, unless others were asked for. */
static inline void bench_set_rounds(struct bench_settings *settings, unsigned int rounds)
{
	settings->rounds = settings->wanted_rounds ? settings->wanted_rounds : rounds;
}

/* --- what is measured --- */

/* How a row's figure is shown; it is kept as time, or bytes, per operation. */
enum bench_unit {
	BENCH_BANDWIDTH, /* bytes per second: an operation is so many bytes */
	BENCH_RATE,      /* operations per second */
	BENCH_TIME,      /* time per operation */
	BENCH_DIRTIED,   /* bytes of page cache that the kernel marked dirty, per operation */
	BENCH_BYTES,     /* bytes of memory that are taken, counted as if they were dirtied */
};

/* What a row stands for. Ours are compared with the best of theirs. */
enum bench_side {
	BENCH_FLOOR,
	BENCH_CALLS,  /* theirs: read(2), write(2) and what is built on them */
	BENCH_MAPPED, /* ours */
	BENCH_MEMORY, /* shared memory, mapped too, but no file */
	BENCH_PEER,   /* theirs: another program or library that does the same */
	BENCH_AYRE,   /* ours */
	BENCH_BARE,   /* neither: what ours are made of, without what makes it safe to use */
};

/* One measurement of one row. */
struct bench_sample {
	/* In: how many are wanted; out: how many were done. */
	uint64_t operations;
	const char *left_out; /* out, with BENCH_LEFT_OUT: why */
	bool counts_bytes;    /* in: see to dirtied_bytes */
	/* What passed between begin and end, summed over all pairs of them. */
	int64_t ns;
	int64_t dirtied_bytes, faults;
};

/* A measure function's result when this machine cannot do it; every error is negative. */
#define BENCH_LEFT_OUT 1

struct bench_row {
	const char *name; /* in JSON, so it stays */
	const char *label;
	enum bench_side side;
	/* Does it, with a bench_begin() and bench_end() around what counts. 0 or as above. */
	int (*measure)(void *state, uint64_t argument, struct bench_sample *sample);
	uint64_t argument;
};

/* Groups that differ in the size of their operations alone are points of one chart: a line for each row. */
struct bench_chart {
	const char *title;
};

struct bench_group {
	const char *name; /* in JSON, so it stays */
	const char *title;
	enum bench_unit unit;
	const struct bench_chart *chart; /* NULL: it is drawn as bars */
	const struct bench_row *rows;    /* the first is the floor of those that are none */
	size_t row_count;
	/* Several rows are floors for the same work: the floor is the best of them. */
	bool best_of_floors;
	/* In a sample; 0: any number. A function that always does the same number takes 1. */
	uint64_t most_operations;
	bool counts_bytes; /* also count what its samples wrote */
	/* Not measured anew: what was counted while this group before it was. */
	const struct bench_group *counted_in;
	/* NULL: it can be measured here; else why not. May prepare. May be NULL itself. */
	const char *(*unfit)(void *state);
};

void bench_begin(struct bench_sample *sample);
void bench_end(struct bench_sample *sample);

/* --- what came out --- */

struct bench_spread {
	double q1, median, q3;
};

struct bench_row_result {
	const char *left_out; /* NULL: it was measured */
	uint64_t operations;  /* in a sample */
	/* For every round, per operation. */
	double ns[BENCH_ROUNDS_MAX], dirtied[BENCH_ROUNDS_MAX], faults[BENCH_ROUNDS_MAX];
	struct bench_spread value;     /* per operation: ns or bytes */
	struct bench_spread to_floor;  /* value / floor's value, round by round */
	struct bench_spread to_best;   /* the best of theirs / value: above 1, we win */
	struct bench_spread of_ours;   /* of theirs: our first row's value / value */
	const struct bench_row *floor; /* NULL: there is no to_floor */
	const struct bench_row *best;  /* NULL: there is no to_best */
	const struct bench_row *ours;  /* NULL: there is no of_ours */
	double median_faults;
};

struct bench_group_result {
	const struct bench_group *group;
	uint64_t operation_bytes; /* with BENCH_BANDWIDTH */
	const char *left_out;     /* NULL: it was measured */
	struct bench_row_result rows[BENCH_ROWS_MAX];
};

struct bench_report {
	const char *name;   /* of the benchmark */
	const char *ours;   /* what ours are called: "mapped" */
	const char *theirs; /* and one of theirs: "call" */
	struct bench_settings settings;
	uint64_t file_bytes; /* of the benchmark's file, 0 if it has none */
	char note[192];      /* where it ran, and what else a reader has to know; "": nothing */
	size_t group_count;
	struct bench_group_result groups[BENCH_GROUPS_MAX];
};

/* Does a ratio's spread allow to say so? Above or below 1 with both its quartiles. */
enum bench_verdict {
	BENCH_WINS,
	BENCH_EVEN,
	BENCH_LOSES,
};

enum bench_verdict bench_judge(const struct bench_spread *to_best);

/* Was it asked for? */
bool bench_wants(const struct bench_report *report, const char *group);

/* Is the figure a number of bytes, and no time? */
static inline bool bench_is_count(enum bench_unit unit)
{
	return unit == BENCH_DIRTIED || unit == BENCH_BYTES;
}

/*
 * Measures a group, if it is wanted, and adds it to the report. operation_bytes: what an operation moves.
 * Returns an exit code; EXIT_FAILED if it was printed why.
 */
int bench_run_group(struct bench_report *report, const struct bench_group *group, void *state,
                    uint64_t operation_bytes);

/* Can the kernel tell which bytes this process made dirty? */
bool bench_counts_dirtied(void);

/* --- the machine --- */

struct bench_machine {
	unsigned int cpu_count;
	int cpu;           /* which one we are bound to; -1: none */
	cpu_set_t allowed; /* before that */
	char architecture[32], kernel[64];
	uint64_t memory_bytes, available_bytes, page_bytes;
	char huge_pages[16], shared_huge_pages[16]; /* "madvise"; "" where it cannot be known */
	char file_system[32];                       /* type, of the directory for files */
	int64_t read_ahead_bytes;                   /* of its device; -1: not known */
};

/* Looks around, and binds this process to one processor. */
void bench_machine_look(struct bench_machine *ret_machine);

/* Where files are made: what was set, else TMPDIR, else /var/tmp. */
const char *bench_directory(void);
/* Borrowed. NULL: nothing is set. */
void bench_set_directory(const char *directory);
/* A file that has no name, so that nothing is left whatever happens. Negative errno. */
int bench_open_unnamed(const char *directory);
/* Of the machine's memory, without swap; 0: there is no telling. */
uint64_t bench_available_bytes(void);
/* A file with "always [madvise] never": the word in brackets; empty: there is none. */
void bench_read_choice(const char *path, char *word, size_t word_bytes);

/* --- the benchmarks --- */

struct bench {
	const char *name;
	const char *summary;
	const char *ours, *theirs; /* as in the report */
	/* Fills the report group by group. Returns an exit code; what failed is printed. */
	int (*run)(struct bench_report *report, const struct bench_machine *machine);
};

/* Children shall run where they like: unbound, and bound again. */
void bench_machine_unbind(const struct bench_machine *machine);
void bench_machine_bind(const struct bench_machine *machine);

int bench_log_run(struct bench_report *report, const struct bench_machine *machine);
int bench_pipe_run(struct bench_report *report, const struct bench_machine *machine);
int bench_size_run(struct bench_report *report, const struct bench_machine *machine);
int bench_topic_run(struct bench_report *report, const struct bench_machine *machine);
int bench_worker_run(struct bench_report *report, const struct bench_machine *machine);
int bench_file_run(struct bench_report *report, const struct bench_machine *machine);

/* --- telling --- */

int bench_print_machine(const struct bench_machine *machine, const struct bench_settings *settings);
int bench_print_table(const struct bench_report *report);
/* One table of several: the best of ours in each group, beside its floor and the best of theirs. */
int bench_print_summary(struct bench_report *const *reports, size_t report_count);
/* NULL: no memory. */
json_t *bench_machine_json(const struct bench_machine *machine);
json_t *bench_report_json(const struct bench_report *report);
/* "16.1 GB/s", "431 ns", "1.0M", as the unit asks for. */
const char *bench_format(const struct bench_group_result *group, double value, char text[32]);
/* "1.9", "0.004": three digits that count. */
const char *bench_format_ratio(double ratio, char text[16]);
/* "mapped: 1.9x", "mapped loses: 0.4x", "even: 1.0x"; "" if there is nothing to compare. */
const char *bench_format_verdict(const struct bench_report *report,
                                 const struct bench_row_result *row, char text[80]);

/* Can the file be written? Asked before an hour's work. Prints why not; an exit code. */
int bench_plot_check(const char *path);
int bench_plot_write(const char *path, const struct bench_machine *machine,
                     struct bench_report *const *reports, size_t report_count);
