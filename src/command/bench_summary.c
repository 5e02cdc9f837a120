/*
 * The last table of `ayre bench all`: a line for each group, however many benchmarks there were.
 *
 * Invariant: it says nothing that the tables before it do not, and leaves out no group; where ours is slower than
 * theirs, it stands here as well.
 */
#include <stdio.h>

#include "command/bench.h"
#include "command/command.h"
#include "command/output.h"

static bool is_ours(enum bench_side side)
{
	return side == BENCH_MAPPED || side == BENCH_AYRE;
}

/* The best of ours; -1: none was measured. */
static int find_ours(const struct bench_group_result *group)
{
	int best = -1;

	for (size_t i = 0; i < group->group->row_count; i++)
		if (is_ours(group->group->rows[i].side) && !group->rows[i].left_out &&
		    (best < 0 || group->rows[i].value.median < group->rows[best].value.median))
			best = (int)i;
	return best;
}

/* "1.10 [1.08 - 1.12]"; "-": there is nothing to compare it with. */
static const char *format_spread(const struct bench_spread *spread, bool exists, char text[64])
{
	char median[16], low[16], high[16];

	if (exists)
		snprintf(text, 64, "%s [%s - %s]", bench_format_ratio(spread->median, median),
		         bench_format_ratio(spread->q1, low), bench_format_ratio(spread->q3, high));
	else
		snprintf(text, 64, "-");
	return text;
}

static void print_group(const struct bench_report *report, const struct bench_group_result *group)
{
	int index = find_ours(group);
	const struct bench_row_result *row = &group->rows[index < 0 ? 0 : index];
	char name[64], value[32], floor[64], best[64];

	snprintf(name, sizeof(name), "%s/%s", report->name, group->group->name);
	if (group->left_out || index < 0) {
		output_print("%-30s  %s%s\n", name, group->left_out ? "left out: " : "floors alone",
		             group->left_out ? group->left_out : "");
		return;
	}
	output_print("%-30s  %11s  %-22s  %-22s  %s\n", name,
	             bench_format(group, row->value.median, value),
	             format_spread(&row->to_floor, row->floor, floor),
	             format_spread(&row->to_best, row->best, best),
	             row->best ? row->best->label : "");
}

int bench_print_summary(struct bench_report *const *reports, size_t report_count)
{
	output_print("\nall: the best of ours in each group; times its floor [quartiles], and how "
	             "many times as fast as the best of theirs\n\n");
	output_print("%-30s  %11s  %-22s  %-22s  %s\n", "group", "ours", "times the floor",
	             "against theirs", "which is");
	for (size_t r = 0; r < report_count; r++)
		for (size_t i = 0; i < reports[r]->group_count; i++)
			print_group(reports[r], &reports[r]->groups[i]);
	return EXIT_DONE;
}
