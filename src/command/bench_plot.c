/*
 * ayre bench --plot: the report as a picture, one SVG file that needs nothing else: a chart for groups that are the
 * points of one, bars for every other.
 *
 * Invariant: the file is replaced when the picture is whole, or not at all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/bench_svg.h"
#include "command/command.h"
#include "command/output.h"

#define BEFORE_BENCH 40 /* what its bars say */

static char *temporary_path(const char *path)
{
	char *temporary;

	return asprintf(&temporary, "%s.ayre-new", path) < 0 ? NULL : temporary;
}

int bench_plot_check(const char *path)
{
	char *temporary = temporary_path(path);
	FILE *file = temporary ? fopen(temporary, "we") : NULL;
	int result = file ? EXIT_DONE : output_fail("%s: %s", path, strerror(errno));

	if (file) {
		fclose(file);
		unlink(temporary);
	}
	free(temporary);
	return result;
}

/* A chart is drawn where the first of its groups is. */
static bool is_first_of_chart(const struct bench_report *report, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (report->groups[i].group->chart == report->groups[index].group->chart)
			return false;
	return true;
}

static bool has_bars(const struct bench_report *report)
{
	for (size_t i = 0; i < report->group_count; i++)
		if (!report->groups[i].group->chart)
			return true;
	return false;
}

static void write_caption(FILE *file, const struct bench_report *report, int y)
{
	fprintf(file, "<text class='note' x='20' y='%d'>%s, ", y, report->name);
	bench_svg_rounds(file, &report->settings);
	fputs(": bars are times the floor (dashed), on a logarithmic scale: short is good; across "
	      "a bar's end: the quartiles</text>\n",
	      file);
}

/* With no file it is only found out how high it is. */
static int draw_report(FILE *file, const struct bench_report *report, int y)
{
	if (has_bars(report)) {
		if (file)
			write_caption(file, report, y + 24);
		y += BEFORE_BENCH;
	}
	for (size_t i = 0; i < report->group_count; i++) {
		const struct bench_group_result *group = &report->groups[i];

		if (group->group->chart && !is_first_of_chart(report, i))
			continue;
		if (group->group->chart)
			y = file ? bench_chart_draw(file, report, group->group->chart, y)
			         : y + bench_chart_height();
		else
			y = file ? bench_bars_draw(file, report, group, y)
			         : y + bench_bars_height(group);
	}
	return y;
}

static void draw(FILE *file, const struct bench_machine *machine,
                 struct bench_report *const *reports, size_t report_count)
{
	int height = SVG_TOP, y = SVG_TOP;

	for (size_t i = 0; i < report_count; i++)
		height = draw_report(NULL, reports[i], height);
	bench_svg_begin(file, machine, height);
	for (size_t i = 0; i < report_count; i++)
		y = draw_report(file, reports[i], y);
	bench_svg_end(file);
}

int bench_plot_write(const char *path, const struct bench_machine *machine,
                     struct bench_report *const *reports, size_t report_count)
{
	char *temporary = temporary_path(path);
	FILE *file = temporary ? fopen(temporary, "we") : NULL;
	int failed;

	if (!file) {
		free(temporary);
		return output_fail("%s: %s", path, strerror(errno));
	}
	draw(file, machine, reports, report_count);
	failed = ferror(file);
	failed |= fclose(file) != 0;
	failed = failed || rename(temporary, path) != 0;
	if (failed) {
		failed = errno;
		unlink(temporary);
	}
	free(temporary);
	return failed ? output_fail("%s: %s", path, strerror(failed)) : EXIT_DONE;
}
