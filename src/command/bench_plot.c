/*
 * ayre bench --plot: the report as a picture, one SVG file that needs nothing else.
 *
 * A bar per row is how many times the floor it takes, on a logarithmic scale: the line at 1 is
 * the floor, short is good. The thin line across a bar's end is its quartiles.
 *
 * Invariant: the file is replaced when the picture is whole, or not at all.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/bench.h"
#include "command/command.h"
#include "command/output.h"

#define WIDTH        960
#define LABEL_WIDTH  330
#define BAR_WIDTH    400
#define ROW_HEIGHT   20
#define TITLE_HEIGHT 34
#define TOP          76

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

static void write_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", file);
		else if (*text == '&')
			fputs("&amp;", file);
		else
			fputc(*text, file);
	}
}

/* Bars begin a little below the floor, so that what beats it is seen to. */
#define SCALE_LEAST 0.25

static double scale_of(const struct bench_group_result *group)
{
	double most = 4;

	for (size_t i = 0; i < group->group->row_count; i++)
		if (group->rows[i].floor && group->rows[i].to_floor.q3 > most)
			most = group->rows[i].to_floor.q3;
	return most;
}

static double place(double ratio, double most)
{
	double part = log(fmax(ratio, SCALE_LEAST) / SCALE_LEAST) / log(most / SCALE_LEAST);

	return LABEL_WIDTH + BAR_WIDTH * fmin(part, 1);
}

static void draw_row(FILE *file, const struct bench_report *report,
                     const struct bench_group_result *group, size_t index, int y, double most)
{
	static const char *const colors[] = {
		[BENCH_FLOOR] = "#9aa5b1",  [BENCH_CALLS] = "#4a7fb5", [BENCH_MAPPED] = "#3d9970",
		[BENCH_MEMORY] = "#8ccbb0", [BENCH_PEER] = "#4a7fb5",  [BENCH_AYRE] = "#3d9970",
	};
	const struct bench_row_result *row = &group->rows[index];
	double end = place(row->floor ? row->to_floor.median : 1, most);
	char value[32], verdict[80], ratio[16];

	fprintf(file, "<text x='%d' y='%d' text-anchor='end'>", LABEL_WIDTH - 8, y + 14);
	write_text(file, group->group->rows[index].label);
	fputs("</text>\n", file);
	if (row->left_out) {
		fprintf(file, "<text class='note' x='%d' y='%d'>left out</text>\n", LABEL_WIDTH + 4,
		        y + 14);
		return;
	}
	fprintf(file, "<rect x='%d' y='%d' width='%.1f' height='%d' fill='%s'/>\n", LABEL_WIDTH,
	        y + 3, end - LABEL_WIDTH, ROW_HEIGHT - 6, colors[group->group->rows[index].side]);
	if (row->floor)
		fprintf(file, "<line class='spread' x1='%.1f' x2='%.1f' y1='%d' y2='%d'/>\n",
		        place(row->to_floor.q1, most), place(row->to_floor.q3, most), y + 10,
		        y + 10);
	fprintf(file, "<text x='%d' y='%d'>%s", LABEL_WIDTH + BAR_WIDTH + 10, y + 14,
	        bench_format(group, row->value.median, value));
	if (row->floor)
		fprintf(file, " (%sx)", bench_format_ratio(row->to_floor.median, ratio));
	fprintf(file, "  <tspan class='note'>%s</tspan></text>\n",
	        bench_format_verdict(report, row, verdict));
}

/* Returns where the next one begins. */
static int draw_group(FILE *file, const struct bench_report *report,
                      const struct bench_group_result *group, int y)
{
	double most = scale_of(group), floor_at = place(1, most);
	int rows = group->left_out ? 1 : (int)group->group->row_count;

	fprintf(file, "<text class='title' x='20' y='%d'>", y + 22);
	write_text(file, group->group->title);
	fputs("</text>\n", file);
	y += TITLE_HEIGHT;
	if (group->left_out) {
		fprintf(file, "<text class='note' x='40' y='%d'>left out: ", y + 14);
		write_text(file, group->left_out);
		fputs("</text>\n", file);
	} else {
		for (size_t i = 0; i < group->group->row_count; i++)
			draw_row(file, report, group, i, y + (int)i * ROW_HEIGHT, most);
		fprintf(file, "<line class='floor' x1='%.1f' x2='%.1f' y1='%d' y2='%d'/>\n",
		        floor_at, floor_at, y - 2, y + rows * ROW_HEIGHT + 2);
	}
	return y + rows * ROW_HEIGHT;
}

static int height_of(struct bench_report *const *reports, size_t report_count)
{
	int height = TOP + 24;

	for (size_t r = 0; r < report_count; r++)
		for (size_t i = 0; i < reports[r]->group_count; i++) {
			const struct bench_group_result *group = &reports[r]->groups[i];
			int rows = group->left_out ? 1 : (int)group->group->row_count;

			height += TITLE_HEIGHT + rows * ROW_HEIGHT;
		}
	return height;
}

static void draw(FILE *file, const struct bench_machine *machine,
                 struct bench_report *const *reports, size_t report_count)
{
	int y = TOP, height = height_of(reports, report_count);

	fprintf(file,
	        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' "
	        "height='%d'>\n"
	        "<style>text{font:13px sans-serif;fill:#1f2933}.title{font-weight:bold;"
	        "font-size:14px}.note{fill:#616e7c}.floor{stroke:#d64545;stroke-dasharray:4 3}"
	        ".spread{stroke:#1f2933;stroke-width:2}</style>\n"
	        "<rect width='%d' height='%d' fill='#fbfbf8'/>\n",
	        WIDTH, height, WIDTH, height, WIDTH, height);
	fprintf(file, "<text class='title' x='20' y='30'>ayre bench: times the floor (dashed), "
	              "logarithmic; short is good; the black line is the quartiles</text>\n");
	fprintf(file,
	        "<text class='note' x='20' y='52'>%u processors, %s, Linux %s, files on %s, %u "
	        "rounds. Green: ours (mapped, ayre); blue: theirs (calls, peers); light green: "
	        "shared memory</text>\n",
	        machine->cpu_count, machine->architecture, machine->kernel, machine->file_system,
	        reports[0]->settings.rounds);
	for (size_t r = 0; r < report_count; r++)
		for (size_t i = 0; i < reports[r]->group_count; i++)
			y = draw_group(file, reports[r], &reports[r]->groups[i], y);
	fputs("</svg>\n", file);
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
