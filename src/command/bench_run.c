/*
 * The harness of `ayre bench`: rounds, clocks, counters, statistics.
 *
 * Invariant: every row of a group, the floor among them, is measured once in every round, in the
 * same order, after a warm-up that all of them had. A ratio is made of two figures of one
 * round before the median is taken, so a machine that slows down half-way does not bend it.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "command/bench.h"
#include "command/command.h"
#include "command/output.h"

/* --- clocks and counters --- */

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Page cache that this process made dirty, by the kernel's own account; -1: not told. */
static int64_t dirtied_bytes(void)
{
	int64_t bytes = -1;
	char line[64];
	FILE *io = fopen("/proc/self/io", "re");

	while (io && fgets(line, sizeof(line), io))
		if (sscanf(line, "write_bytes: %" SCNd64, &bytes) == 1)
			break;
	if (io)
		fclose(io);
	return bytes;
}

bool bench_counts_dirtied(void)
{
	return dirtied_bytes() >= 0;
}

static int64_t page_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

/* The clock is read last here and first below: what counting costs is not timed. */
void bench_begin(struct bench_sample *sample)
{
	if (sample->counts_bytes)
		sample->dirtied_bytes -= dirtied_bytes();
	sample->faults -= page_faults();
	sample->ns -= now_ns();
}

void bench_end(struct bench_sample *sample)
{
	sample->ns += now_ns();
	sample->faults += page_faults();
	if (sample->counts_bytes)
		sample->dirtied_bytes += dirtied_bytes();
}

/* --- progress: one line, for a person who waits --- */

__attribute__((format(printf, 1, 2))) static void show_progress(const char *format, ...)
{
	va_list arguments;

	if (!output_shows_progress())
		return;
	va_start(arguments, format);
	fputs("\r\033[K", stderr);
	vfprintf(stderr, format, arguments);
	fflush(stderr);
	va_end(arguments);
}

/* --- statistics --- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Between two figures, in proportion (as most programs do; Hyndman and Fan's type 7). */
static double quantile(const double *sorted, unsigned int count, double part)
{
	double place = part * (count - 1);
	unsigned int below = (unsigned int)place;

	if (below + 1 >= count)
		return sorted[count - 1];
	return sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]);
}

static struct bench_spread spread(const double *values, unsigned int count)
{
	double sorted[BENCH_ROUNDS_MAX];

	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), compare);
	return (struct bench_spread){
		.q1 = quantile(sorted, count, 0.25),
		.median = quantile(sorted, count, 0.5),
		.q3 = quantile(sorted, count, 0.75),
	};
}

static struct bench_spread ratio(const double *above, const double *below, unsigned int count)
{
	double ratios[BENCH_ROUNDS_MAX];

	for (unsigned int i = 0; i < count; i++)
		ratios[i] = below[i] > 0 ? above[i] / below[i] : 0;
	return spread(ratios, count);
}

enum bench_verdict bench_judge(const struct bench_spread *to_best)
{
	if (to_best->q1 > 1)
		return BENCH_WINS;
	return to_best->q3 < 1 ? BENCH_LOSES : BENCH_EVEN;
}

static const double *values_of(const struct bench_group *group, const struct bench_row_result *row)
{
	return bench_is_count(group->unit) ? row->dirtied : row->ns;
}

/* The first row, if it is a floor and was measured; or the best of those that are. */
static const struct bench_row_result *find_floor(const struct bench_group_result *result)
{
	const struct bench_row_result *floor = NULL;
	size_t count = result->group->best_of_floors ? result->group->row_count : 1;

	for (size_t i = 0; i < count; i++) {
		const struct bench_row_result *row = &result->rows[i];

		if (result->group->rows[i].side == BENCH_FLOOR && !row->left_out &&
		    (!floor || row->value.median < floor->value.median))
			floor = row;
	}
	return floor;
}

/* Floors that are each for themselves are compared with nothing. */
static bool has_floor(const struct bench_group *group, size_t index)
{
	return group->rows[index].side != BENCH_FLOOR || group->best_of_floors;
}

static bool is_theirs(enum bench_side side)
{
	return side == BENCH_CALLS || side == BENCH_PEER;
}

static bool is_ours(enum bench_side side)
{
	return side == BENCH_MAPPED || side == BENCH_AYRE;
}

/* Our first row, if it is to be compared with each of theirs. */
static const struct bench_row_result *find_ours(const struct bench_group_result *result)
{
	for (size_t i = 0; i < result->group->row_count; i++)
		if (result->group->rows[i].side == BENCH_AYRE && !result->rows[i].left_out)
			return &result->rows[i];
	return NULL;
}

static const struct bench_row_result *find_best(const struct bench_group_result *result)
{
	const struct bench_row_result *best = NULL;

	for (size_t i = 0; i < result->group->row_count; i++) {
		const struct bench_row_result *row = &result->rows[i];

		if (!is_theirs(result->group->rows[i].side) || row->left_out)
			continue;
		if (!best || row->value.median < best->value.median)
			best = row;
	}
	return best;
}

static void compute(struct bench_group_result *result, unsigned int rounds)
{
	const struct bench_group *group = result->group;
	const struct bench_row_result *floor, *best, *ours;

	for (size_t i = 0; i < group->row_count; i++) {
		struct bench_row_result *row = &result->rows[i];

		row->value = spread(values_of(group, row), rounds);
		row->median_faults = spread(row->faults, rounds).median;
	}
	floor = find_floor(result);
	best = find_best(result);
	ours = find_ours(result);
	for (size_t i = 0; i < group->row_count; i++) {
		struct bench_row_result *row = &result->rows[i];
		const double *values = values_of(group, row);

		if (row->left_out || !has_floor(group, i))
			continue;
		if (floor && row != floor) {
			row->floor = &group->rows[floor - result->rows];
			row->to_floor = ratio(values, values_of(group, floor), rounds);
		}
		if (best && is_ours(group->rows[i].side)) {
			row->best = &group->rows[best - result->rows];
			row->to_best = ratio(values_of(group, best), values, rounds);
		}
		if (ours && is_theirs(group->rows[i].side)) {
			row->ours = &group->rows[ours - result->rows];
			row->of_ours = ratio(values_of(group, ours), values, rounds);
		}
	}
}

/* --- rounds --- */

static int report_failure(const struct bench_group *group, const struct bench_row *row, int code)
{
	if (code == -EBADMSG)
		return output_fail("%s: %s: the bytes that were read are not those that were "
		                   "written",
		                   group->name, row->label);
	return output_fail("%s: %s: %s", group->name, row->label, strerror(-code));
}

/* One sample. Returns what the row's function returns. */
static int take(const struct bench_group *group, const struct bench_row *row, void *state,
                uint64_t wanted, struct bench_sample *sample)
{
	*sample = (struct bench_sample){
		.operations = wanted,
		.counts_bytes = group->counts_bytes,
	};
	return row->measure(state, row->argument, sample);
}

/* So many times as long as has to be: it was not only because something came between. */
#define SURELY 10

/*
 * Finds how many operations take long enough for the clock. That much is the warm-up. Who was interrupted once
 * would be measured with too few of them in every round, so it has to take long enough twice.
 */
static int warm_up(struct bench_group_result *result, size_t index, void *state, int64_t least_ns)
{
	const struct bench_group *group = result->group;
	const struct bench_row *row = &group->rows[index];
	uint64_t wanted = 1;
	uint64_t most = group->most_operations ? group->most_operations : UINT64_MAX;
	struct bench_sample sample;
	bool before = false;

	for (;;) {
		int code = take(group, row, state, wanted, &sample);
		bool is_enough;

		if (code == BENCH_LEFT_OUT) {
			result->rows[index].left_out = sample.left_out;
			return EXIT_DONE;
		}
		if (code < 0)
			return report_failure(group, row, code);
		is_enough = sample.ns >= least_ns;
		if (sample.operations >= most || (is_enough && before) ||
		    sample.ns / SURELY >= least_ns)
			break;
		before = is_enough;
		if (is_enough)
			continue;
		wanted = sample.operations * (sample.ns < least_ns / 16 ? 8 : 2);
		if (wanted > most)
			wanted = most;
	}
	result->rows[index].operations = sample.operations;
	return EXIT_DONE;
}

static int measure(struct bench_group_result *result, size_t index, void *state, unsigned int round)
{
	struct bench_row_result *row = &result->rows[index];
	struct bench_sample sample;
	int code;
	double count;

	if (row->left_out)
		return EXIT_DONE;
	code = take(result->group, &result->group->rows[index], state, row->operations, &sample);
	if (code != 0)
		return report_failure(result->group, &result->group->rows[index],
		                      code < 0 ? code : -EAGAIN);
	count = (double)sample.operations;
	row->ns[round] = (double)sample.ns / count;
	row->dirtied[round] = (double)sample.dirtied_bytes / count;
	row->faults[round] = (double)sample.faults / count;
	return EXIT_DONE;
}

static int run_rounds(struct bench_report *report, struct bench_group_result *result, void *state)
{
	const struct bench_group *group = result->group;
	int code = EXIT_DONE;

	for (size_t i = 0; code == EXIT_DONE && i < group->row_count; i++) {
		show_progress("ayre: bench: %s: %s: warm-up: %s", report->name, group->name,
		              group->rows[i].label);
		code = warm_up(result, i, state, report->settings.least_ns);
	}
	for (unsigned int round = 0; code == EXIT_DONE && round < report->settings.rounds;
	     round++) {
		show_progress("ayre: bench: %s: %s: round %u of %u", report->name, group->name,
		              round + 1, report->settings.rounds);
		for (size_t i = 0; code == EXIT_DONE && i < group->row_count; i++)
			code = measure(result, i, state, round);
	}
	if (output_shows_progress())
		fputs("\r\033[K", stderr);
	return code;
}

/* The figures of an earlier group, looked at for what was counted. */
static bool copy_counted(const struct bench_report *report, struct bench_group_result *result)
{
	for (size_t i = 0; i < report->group_count; i++) {
		const struct bench_group_result *earlier = &report->groups[i];

		if (earlier->group != result->group->counted_in)
			continue;
		memcpy(result->rows, earlier->rows, sizeof(result->rows));
		for (size_t r = 0; r < BENCH_ROWS_MAX; r++) {
			result->rows[r].floor = NULL;
			result->rows[r].best = NULL;
		}
		return !earlier->left_out;
	}
	return false;
}

bool bench_wants(const struct bench_report *report, const char *group)
{
	const struct bench_settings *settings = &report->settings;
	size_t length = strlen(report->name);

	for (int i = 0; i < settings->name_count; i++) {
		const char *name = settings->names[i];

		if (strcmp(name, "all") == 0 || strcmp(name, report->name) == 0 ||
		    (strncmp(name, report->name, length) == 0 && name[length] == '/' &&
		     strcmp(name + length + 1, group) == 0))
			return true;
	}
	return settings->name_count == 0;
}

int bench_run_group(struct bench_report *report, const struct bench_group *group, void *state,
                    uint64_t operation_bytes)
{
	struct bench_group_result *result = &report->groups[report->group_count];
	int code = EXIT_DONE;

	if (!bench_wants(report, group->name))
		return EXIT_DONE;
	assert(report->group_count < BENCH_GROUPS_MAX && group->row_count <= BENCH_ROWS_MAX);
	result->group = group;
	result->operation_bytes = operation_bytes;
	if (group->unfit)
		result->left_out = group->unfit(state);
	if (!result->left_out && group->counted_in && !copy_counted(report, result))
		result->left_out = "what it would be counted in is left out";
	if (!result->left_out && !group->counted_in)
		code = run_rounds(report, result, state);
	if (code == EXIT_DONE && !result->left_out)
		compute(result, report->settings.rounds);
	report->group_count++;
	return code;
}
