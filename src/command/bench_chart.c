/*
 * A line chart of `ayre bench --plot`: the size of an operation to the right, time or bytes a second upwards, both on
 * logarithmic scales; a line for each row, with its quartiles as a band.
 *
 * Invariant: every row that was measured has a mark for each size, also where one lies on another.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command/bench_svg.h"
#include "command/command.h"
#include "command/output.h"

#define LEFT   84
#define RIGHT  690 /* names are to the right of it */
#define ABOVE  58  /* the title and what is better */
#define HEIGHT 360 /* of the field */
#define BELOW  70  /* ticks, their unit, and room */
#define APART  19  /* names, at the least */

struct chart {
	const struct bench_group_result *groups[BENCH_GROUPS_MAX];
	size_t count;
	double least_x, most_x, least_y, most_y; /* logarithms, to the bases of 2 and of 10 */
	int top;
};

struct name {
	double x, at, y; /* where its line ends, and the height at which it is written */
	size_t row;
};

int bench_chart_height(void)
{
	return ABOVE + HEIGHT + BELOW;
}

static bool is_drawn(const struct bench_group_result *group, size_t row)
{
	return !group->rows[row].left_out && group->rows[row].value.median > 0;
}

/* What is drawn of a figure, which is kept as time. */
static double shown(const struct bench_group_result *group, double ns)
{
	return group->group->unit == BENCH_BANDWIDTH ? (double)group->operation_bytes * 1e9 / ns
	                                             : ns;
}

static double x_of(const struct chart *chart, double bytes)
{
	double wide = chart->most_x - chart->least_x;

	return wide > 0 ? LEFT + 20 + (log2(bytes) - chart->least_x) / wide * (RIGHT - LEFT - 40)
	                : (LEFT + RIGHT) / 2.0;
}

static double y_of(const struct chart *chart, double value)
{
	double part = (log10(value) - chart->least_y) / (chart->most_y - chart->least_y);

	return chart->top + HEIGHT * (1 - part);
}

static double point_y(const struct chart *chart, const struct bench_group_result *group, double ns)
{
	return y_of(chart, shown(group, ns));
}

static void take_in(struct chart *chart, double value)
{
	chart->least_y = fmin(chart->least_y, log10(value));
	chart->most_y = fmax(chart->most_y, log10(value));
}

/* Those of the report that are points of it; whole decades around all of them. */
static void gather(struct chart *chart, const struct bench_report *report,
                   const struct bench_chart *wanted)
{
	chart->least_x = chart->least_y = INFINITY;
	chart->most_x = chart->most_y = -INFINITY;
	for (size_t i = 0; i < report->group_count; i++) {
		const struct bench_group_result *group = &report->groups[i];

		if (group->group->chart != wanted || group->left_out)
			continue;
		chart->groups[chart->count++] = group;
		chart->least_x = fmin(chart->least_x, log2((double)group->operation_bytes));
		chart->most_x = fmax(chart->most_x, log2((double)group->operation_bytes));
		for (size_t row = 0; row < group->group->row_count; row++) {
			if (!is_drawn(group, row))
				continue;
			take_in(chart, shown(group, group->rows[row].value.q1));
			take_in(chart, shown(group, group->rows[row].value.q3));
		}
	}
	chart->least_y = floor(chart->least_y);
	chart->most_y = fmax(ceil(chart->most_y), chart->least_y + 1);
}

/* "10 us", not "10.0 us". */
static const char *format_tick(const struct bench_group_result *group, double value, char text[32])
{
	bool is_rate = group->group->unit == BENCH_BANDWIDTH;
	double ns = is_rate ? (double)group->operation_bytes * 1e9 / value : value;
	char *dot, *space;

	/* Rounded up by a hair, so that no power of ten is one less. */
	bench_format(group, is_rate ? ns / (1 + 1e-9) : ns * (1 + 1e-9), text);
	dot = strchr(text, '.');
	space = strchr(text, ' ');
	if (dot && space)
		memmove(dot, space, strlen(space) + 1);
	return text;
}

static void draw_scale_y(FILE *file, const struct chart *chart)
{
	char text[32];

	for (double decade = chart->least_y; decade <= chart->most_y; decade++) {
		double value = pow(10, decade), y = y_of(chart, value);

		fprintf(file, "<line class='grid' x1='%d' x2='%d' y1='%.1f' y2='%.1f'/>\n", LEFT,
		        RIGHT, y, y);
		fprintf(file, "<text class='note' text-anchor='end' x='%d' y='%.1f'>%s</text>\n",
		        LEFT - 8, y + 4, format_tick(chart->groups[0], value, text));
		for (int digit = 2; digit < 10 && decade < chart->most_y; digit++)
			fprintf(file, "<line class='axis' x1='%d' x2='%d' y1='%.1f' y2='%.1f'/>\n",
			        LEFT, LEFT + (digit == 5 ? 6 : 3), y_of(chart, value * digit),
			        y_of(chart, value * digit));
	}
	fprintf(file, "<line class='axis' x1='%d' x2='%d' y1='%d' y2='%d'/>\n", LEFT, LEFT,
	        chart->top, chart->top + HEIGHT);
}

static void draw_scale_x(FILE *file, const struct chart *chart)
{
	int bottom = chart->top + HEIGHT;
	char size[16];

	for (size_t i = 0; i < chart->count; i++) {
		double x = x_of(chart, (double)chart->groups[i]->operation_bytes);

		fprintf(file, "<line class='grid' x1='%.1f' x2='%.1f' y1='%d' y2='%d'/>\n", x, x,
		        chart->top, bottom + 5);
		fprintf(file, "<text class='note' text-anchor='middle' x='%.1f' y='%d'>%s</text>\n",
		        x, bottom + 20, format_size(chart->groups[i]->operation_bytes, size));
	}
	fprintf(file, "<line class='axis' x1='%d' x2='%d' y1='%d' y2='%d'/>\n", LEFT, RIGHT, bottom,
	        bottom);
	fprintf(file,
	        "<text class='note' text-anchor='middle' x='%d' y='%d'>bytes of a message (1K is "
	        "1024)</text>\n",
	        (LEFT + RIGHT) / 2, bottom + 42);
}

/* Lines of others are told apart by their place in the group, which is the same in all of them. */
static const char *class_of(const struct chart *chart, size_t row, char text[16])
{
	enum bench_side side = chart->groups[0]->group->rows[row].side;

	if (side == BENCH_FLOOR || side == BENCH_AYRE || side == BENCH_MAPPED)
		return bench_svg_side(side);
	snprintf(text, 16, "s%zu", (row - 1) % 4 + 1);
	return text;
}

static void draw_band(FILE *file, const struct chart *chart, size_t row, const char *class)
{
	fprintf(file, "<polygon class='band %s' points='", class);
	for (size_t i = 0; i < chart->count; i++)
		if (is_drawn(chart->groups[i], row))
			fprintf(file, "%.1f,%.1f ",
			        x_of(chart, (double)chart->groups[i]->operation_bytes),
			        point_y(chart, chart->groups[i],
			                chart->groups[i]->rows[row].value.q3));
	for (size_t i = chart->count; i-- > 0;)
		if (is_drawn(chart->groups[i], row))
			fprintf(file, "%.1f,%.1f ",
			        x_of(chart, (double)chart->groups[i]->operation_bytes),
			        point_y(chart, chart->groups[i],
			                chart->groups[i]->rows[row].value.q1));
	fputs("'/>\n", file);
}

static void draw_line(FILE *file, const struct chart *chart, size_t row, const char *class)
{
	fprintf(file, "<polyline class='%s line' points='", class);
	for (size_t i = 0; i < chart->count; i++)
		if (is_drawn(chart->groups[i], row))
			fprintf(file, "%.1f,%.1f ",
			        x_of(chart, (double)chart->groups[i]->operation_bytes),
			        point_y(chart, chart->groups[i],
			                chart->groups[i]->rows[row].value.median));
	fputs("'/>\n", file);
	for (size_t i = 0; i < chart->count; i++) {
		const struct bench_group_result *group = chart->groups[i];

		if (!is_drawn(group, row))
			continue;
		fprintf(file, "<circle class='dot %s' r='4' cx='%.1f' cy='%.1f'", class,
		        x_of(chart, (double)group->operation_bytes),
		        point_y(chart, group, group->rows[row].value.median));
		bench_svg_data(file, group, row);
		fputs(">", file);
		bench_svg_tooltip(file, group, row);
		fputs("</circle>\n", file);
	}
}

static int compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Each as near to its line's end as the others let it be: down from the top, then up from the bottom. */
static void place_names(struct name *names, size_t count, double bottom)
{
	qsort(names, count, sizeof(*names), compare);
	for (size_t i = 0; i < count; i++) {
		names[i].y = names[i].at;
		if (i > 0)
			names[i].y = fmax(names[i].y, names[i - 1].y + APART);
	}
	for (size_t i = count; i-- > 0; bottom = names[i].y - APART)
		names[i].y = fmin(names[i].y, bottom);
}

static void draw_names(FILE *file, const struct chart *chart)
{
	const struct bench_group *first = chart->groups[0]->group;
	struct name names[BENCH_ROWS_MAX];
	size_t count = 0;
	char class[16];

	for (size_t row = 0; row < first->row_count; row++)
		for (size_t i = chart->count; i-- > 0;) {
			if (!is_drawn(chart->groups[i], row))
				continue;
			names[count++] = (struct name){
				.x = x_of(chart, (double)chart->groups[i]->operation_bytes),
				.at = point_y(chart, chart->groups[i],
			                      chart->groups[i]->rows[row].value.median),
				.row = row,
			};
			break;
		}
	place_names(names, count, chart->top + HEIGHT);
	for (size_t i = 0; i < count; i++) {
		fprintf(file,
		        "<line class='leader %s' x1='%.1f' x2='%d' y1='%.1f' y2='%.1f'/>\n"
		        "<text class='name %s' x='%d' y='%.1f'>",
		        class_of(chart, names[i].row, class), names[i].x + 6, RIGHT + 6,
		        names[i].at, names[i].y, class_of(chart, names[i].row, class), RIGHT + 10,
		        names[i].y + 4);
		bench_svg_text(file, first->rows[names[i].row].label);
		fputs("</text>\n", file);
	}
}

int bench_chart_draw(FILE *file, const struct bench_report *report,
                     const struct bench_chart *wanted, int y)
{
	struct chart chart = {.top = y + ABOVE};
	char class[16];

	fprintf(file, "<text class='title' x='20' y='%d'>", y + 24);
	bench_svg_text(file, wanted->title);
	fputs("</text>\n", file);
	gather(&chart, report, wanted);
	if (chart.count == 0) {
		fprintf(file, "<text class='note' x='20' y='%d'>left out</text>\n", y + 44);
		return y + bench_chart_height();
	}
	fprintf(file,
	        "<text class='note' x='20' y='%d'>%s is better; dashed: the floor; bands: the "
	        "quartiles of ",
	        y + 43, chart.groups[0]->group->unit == BENCH_BANDWIDTH ? "higher" : "lower");
	bench_svg_rounds(file, &report->settings);
	fputs("</text>\n", file);
	draw_scale_y(file, &chart);
	draw_scale_x(file, &chart);
	for (size_t row = 0; row < chart.groups[0]->group->row_count; row++)
		draw_band(file, &chart, row, class_of(&chart, row, class));
	for (size_t row = 0; row < chart.groups[0]->group->row_count; row++)
		draw_line(file, &chart, row, class_of(&chart, row, class));
	draw_names(file, &chart);
	return y + bench_chart_height();
}
