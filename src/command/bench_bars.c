/*
 * A group of `ayre bench --plot` as bars: how many times the floor each row takes, on a logarithmic scale. The dashed line
 * at 1 is the floor, short is good; the thin line across a bar's end is its quartiles.
 *
 * Invariant: every row has a bar, or the word that it was left out.
 */
#include <math.h>
#include <string.h>

#include "command/bench_svg.h"
#include "command/command.h"

#define LABEL_WIDTH  318
#define BAR_WIDTH    330
#define ROW_HEIGHT   20
#define TITLE_HEIGHT 52 /* with the scale */
#define ROOM         14

/* Bars begin below the floor, so that what beats it is seen to. */
struct scale {
	double least, most; /* powers of ten */
};

static int row_count(const struct bench_group_result *group)
{
	return group->left_out ? 1 : (int)group->group->row_count;
}

int bench_bars_height(const struct bench_group_result *group)
{
	return TITLE_HEIGHT + row_count(group) * ROW_HEIGHT + ROOM;
}

static double ratio_of(const struct bench_row_result *row)
{
	return row->floor ? row->to_floor.median : 1;
}

static struct scale scale_of(const struct bench_group_result *group)
{
	struct scale scale = {-1, 1};

	for (size_t i = 0; i < group->group->row_count; i++) {
		const struct bench_row_result *row = &group->rows[i];

		if (!row->floor || row->left_out)
			continue;
		/* The shortest bar has to be seen. */
		if (row->to_floor.q1 > 0)
			scale.least = fmin(scale.least, floor(log10(row->to_floor.q1) - 0.1));
		if (row->to_floor.q3 > 0)
			scale.most = fmax(scale.most, ceil(log10(row->to_floor.q3)));
	}
	return scale;
}

static double place(double ratio, const struct scale *scale)
{
	double at = ratio > 0 ? log10(ratio) : scale->least;
	double part = (at - scale->least) / (scale->most - scale->least);

	return LABEL_WIDTH + BAR_WIDTH * fmin(fmax(part, 0), 1);
}

static void draw_scale(FILE *file, const struct scale *scale, int y, int bottom)
{
	for (double decade = scale->least; decade <= scale->most; decade++) {
		double x = place(pow(10, decade), scale);

		fprintf(file, "<line class='%s' x1='%.1f' x2='%.1f' y1='%d' y2='%d'/>\n",
		        decade == 0 ? "at-floor" : "grid", x, x, y - 2, bottom);
		fprintf(file,
		        "<text class='note' text-anchor='middle' x='%.1f' y='%d'>%gx</text>\n", x,
		        y - 6, pow(10, decade));
	}
}

static void draw_figure(FILE *file, const struct bench_report *report,
                        const struct bench_group_result *group, size_t index, int y)
{
	const struct bench_row_result *row = &group->rows[index];
	char value[32], verdict[80], ratio[16];

	fprintf(file, "<text x='%d' y='%d'>%s", LABEL_WIDTH + BAR_WIDTH + 12, y + 14,
	        bench_format(group, row->value.median, value));
	if (row->floor)
		fprintf(file, " (%sx)", bench_format_ratio(row->to_floor.median, ratio));
	/* There is no room for its quartiles. */
	bench_format_verdict(report, row, verdict);
	verdict[strcspn(verdict, "[")] = '\0';
	fputs(" <tspan class='note'>", file);
	bench_svg_text(file, verdict);
	fputs("</tspan></text>\n", file);
}

static void draw_row(FILE *file, const struct bench_report *report,
                     const struct bench_group_result *group, size_t index,
                     const struct scale *scale, int y)
{
	const struct bench_row_result *row = &group->rows[index];

	fprintf(file, "<text x='%d' y='%d' text-anchor='end'>", LABEL_WIDTH - 8, y + 14);
	bench_svg_text(file, group->group->rows[index].label);
	fputs("</text>\n", file);
	if (row->left_out) {
		fprintf(file, "<text class='note' x='%d' y='%d'>left out</text>\n", LABEL_WIDTH + 4,
		        y + 14);
		return;
	}
	fprintf(file, "<rect class='bar %s' x='%d' y='%d' width='%.1f' height='%d' rx='2'",
	        bench_svg_side(group->group->rows[index].side), LABEL_WIDTH, y + 3,
	        place(ratio_of(row), scale) - LABEL_WIDTH, ROW_HEIGHT - 6);
	bench_svg_data(file, group, index);
	fputs(">", file);
	bench_svg_tooltip(file, group, index);
	fputs("</rect>\n", file);
	if (row->floor)
		fprintf(file, "<line class='spread' x1='%.1f' x2='%.1f' y1='%d' y2='%d'/>\n",
		        place(row->to_floor.q1, scale), place(row->to_floor.q3, scale), y + 10,
		        y + 10);
	draw_figure(file, report, group, index, y);
}

int bench_bars_draw(FILE *file, const struct bench_report *report,
                    const struct bench_group_result *group, int y)
{
	struct scale scale = scale_of(group);
	int bottom = y + TITLE_HEIGHT + row_count(group) * ROW_HEIGHT;

	fprintf(file, "<text class='title' x='20' y='%d'>", y + 22);
	bench_svg_text(file, group->group->title);
	fputs("</text>\n", file);
	y += TITLE_HEIGHT;
	if (group->left_out) {
		fprintf(file, "<text class='note' x='40' y='%d'>left out: ", y + 6);
		bench_svg_text(file, group->left_out);
		fputs("</text>\n", file);
		return bottom + ROOM;
	}
	draw_scale(file, &scale, y, bottom);
	for (size_t i = 0; i < group->group->row_count; i++)
		draw_row(file, report, group, i, &scale, y + (int)i * ROW_HEIGHT);
	return bottom + ROOM;
}
