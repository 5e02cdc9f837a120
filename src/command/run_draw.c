/*
 * The meter as text: a row for each stage, a bar for the pipe between two, a sentence.
 *
 * Nothing here knows a terminal or a pipeline; what is drawn can be made up.
 */
#include "command/run.h"

#include <stdlib.h>
#include <string.h>

#include "command/output.h"

#define STATE_COLUMNS 23 /* "waiting for input 100 %" */
#define NAME_LEAST    12
#define NAME_IN_TEXT  24
#define BAR_CELLS     10
#define NEARLY_ALL    0.9
#define RIGHT_FULL    31 /* "  processor" "      rate" "   written" */
#define RIGHT_NO_RATE 11

enum colour {
	PLAIN = 0,
	BOLD = 1,
	DIM = 2,
	RED = 31,
	YELLOW = 33,
};

/* What the rows of a table have in common. */
struct table {
	FILE *stream;
	const struct run_view *view;
	const struct run_style *style;
	int number_columns, name_columns;
	bool rate, processor; /* is there room for them? */
};

static void colour(const struct table *table, enum colour which)
{
	if (table->style->colour)
		fprintf(table->stream, "\033[%dm", (int)which);
}

/* --- words --- */

/* What a stage did most of the time, and for how many thousandths of it; 0: never looked at. */
static const char *main_share(const struct ayre_stage_shares *shares, int *ret_thousandths)
{
	const struct {
		const char *words;
		int thousandths;
	} all[] = {
		{"running", shares->running},
		{"waiting for input", shares->input},
		{"blocked on output", shares->output},
		{"asleep", shares->other},
	};
	size_t most = 0;

	for (size_t i = 1; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].thousandths > all[most].thousandths)
			most = i;
	*ret_thousandths = all[most].thousandths;
	return all[most].words;
}

static int percent(double fraction)
{
	return (int)(fraction * 100 + 0.5);
}

static const char *state_words(const struct run_view *view, int index, char text[48])
{
	const struct ayre_stage_info *stage = &view->stages[index];
	int thousandths;
	const char *words = main_share(&stage->recent, &thousandths);

	if (stage->end.outcome != AYRE_OUTCOME_RUNNING)
		return run_outcome_words(&stage->end, text);
	if (stage->state == 'T' || stage->state == 't')
		return "stopped";
	if (stage->state == 'D')
		return "on disk";
	if (thousandths == 0)
		return stage->state == 'S' ? "asleep" : "running";
	snprintf(text, 48, "%s %d %%", words, percent(thousandths / 1000.0));
	return text;
}

static bool put_neighbour(FILE *stream, const struct run_view *view, int index, const char *before)
{
	int thousandths;
	const char *words;

	if (index < 0 || index >= view->stage_count)
		return false;
	words = main_share(run_view_shares(view, index), &thousandths);
	if (thousandths == 0)
		return false;
	fprintf(stream, "%sstage %d %s %d %%", before, index + 1, words,
	        percent(thousandths / 1000.0));
	return true;
}

void run_draw_bottleneck(FILE *stream, const struct run_view *view, bool utf8)
{
	int index = view->bottleneck, thousandths;
	const char *words;
	bool more;

	if (index < 0 || index >= view->stage_count) {
		fputs("no stage holds the others up", stream);
		return;
	}
	words = main_share(run_view_shares(view, index), &thousandths);
	fprintf(stream, "stage %d, ", index + 1);
	run_put_text(stream, view->stages[index].name, NAME_IN_TEXT, utf8);
	fprintf(stream, ", holds the rest up: %s %d %%", words, percent(thousandths / 1000.0));
	more = put_neighbour(stream, view, index - 1, "; ");
	put_neighbour(stream, view, index + 1, more ? ", " : "; ");
}

/* --- rows --- */

static int digits(int number)
{
	int count = 1;

	while (number >= 10) {
		number /= 10;
		count++;
	}
	return count;
}

static void put_pad(FILE *stream, int columns)
{
	if (columns > 0)
		fprintf(stream, "%*s", columns, "");
}

static void put_header(const struct table *table)
{
	char span[24];

	colour(table, DIM);
	put_pad(table->stream, table->number_columns + 3);
	fprintf(table->stream, "%-*s  %-*s", table->name_columns,
	        run_format_span(table->view->wall_ns, span), STATE_COLUMNS, "state");
	if (table->processor)
		fprintf(table->stream, "  %9s", "processor");
	if (table->rate)
		fprintf(table->stream, "  %8s  %8s", "rate", "written");
	colour(table, PLAIN);
	fputc('\n', table->stream);
}

static void put_figures(const struct table *table, int index)
{
	const struct run_pace *pace = &table->view->paces[index];
	bool over = table->view->stages[index].end.outcome != AYRE_OUTCOME_RUNNING &&
	            !table->view->ended;
	char size[16], text[24] = "-";

	if (table->processor) {
		if (pace->processor >= 0 && !over)
			snprintf(text, sizeof(text), "%d %%", percent(pace->processor));
		fprintf(table->stream, "  %9s", text);
	}
	if (!table->rate)
		return;
	strcpy(text, "-");
	if (pace->bytes_per_second >= 0 && !over)
		snprintf(text, sizeof(text), "%s/s",
		         run_format_bytes((int64_t)pace->bytes_per_second, size));
	fprintf(table->stream, "  %8s  %8s", text,
	        run_format_bytes(table->view->stages[index].written_bytes, size));
}

static bool did_badly(const struct ayre_process_end *end)
{
	return (end->outcome == AYRE_OUTCOME_EXITED && end->status != 0) ||
	       end->outcome == AYRE_OUTCOME_SIGNALED || end->outcome == AYRE_OUTCOME_LOST;
}

static void put_stage(const struct table *table, int index)
{
	const struct ayre_stage_info *stage = &table->view->stages[index];
	bool marked = index == table->view->bottleneck;
	bool utf8 = table->style->utf8;
	char text[48];
	int used;

	if (marked)
		colour(table, BOLD);
	fprintf(table->stream, "%s %*d ",
	        !marked ? " "
	        : utf8  ? "▶"
	                : ">",
	        table->number_columns, index + 1);
	used = run_put_name(table->stream, stage, table->name_columns, utf8);
	put_pad(table->stream, table->name_columns - used + 2);
	if (did_badly(&stage->end))
		colour(table, RED);
	fprintf(table->stream, "%-*s", STATE_COLUMNS, state_words(table->view, index, text));
	if (did_badly(&stage->end))
		colour(table, PLAIN);
	put_figures(table, index);
	colour(table, PLAIN);
	fputc('\n', table->stream);
}

static void put_bar(const struct table *table, double fraction)
{
	int full = (int)(fraction * BAR_CELLS + 0.5);
	bool utf8 = table->style->utf8;

	fputs(utf8 ? "▕" : "[", table->stream);
	if (fraction >= NEARLY_ALL)
		colour(table, YELLOW);
	for (int i = 0; i < BAR_CELLS; i++)
		fputs(i < full ? (utf8 ? "█" : "#") : (utf8 ? "░" : "-"), table->stream);
	if (fraction >= NEARLY_ALL)
		colour(table, PLAIN);
	fputs(utf8 ? "▏" : "]", table->stream);
}

static void put_pipe(const struct table *table, const struct ayre_pipe_info *pipe)
{
	double fraction = pipe->mean_fill;
	char size[16];

	if (!table->view->ended)
		fraction = pipe->fill_bytes < 0 || pipe->granted_bytes == 0
		                   ? -1
		                   : (double)pipe->fill_bytes / (double)pipe->granted_bytes;
	if (fraction > 1)
		fraction = 1;
	put_pad(table->stream, table->number_columns + 1);
	fputs(table->style->utf8 ? "│ " : "| ", table->stream);
	put_bar(table, fraction);
	fprintf(table->stream, " %4s", format_size(pipe->granted_bytes, size));
	if (fraction < 0)
		fputs("     -", table->stream);
	else
		fprintf(table->stream, "  %3d %%", percent(fraction));
	if (table->view->ended && fraction >= 0)
		fputs(" on average", table->stream);
	if (pipe->granted_bytes < pipe->asked_bytes)
		fprintf(table->stream, "  (small: %s asked for)",
		        format_size(pipe->asked_bytes, size));
	fputc('\n', table->stream);
}

/* --- the table --- */

static void measure(struct table *table)
{
	const struct run_view *view = table->view;
	int columns = table->style->columns, left, widest = NAME_LEAST;

	table->number_columns = digits(view->stage_count);
	for (int i = 0; i < view->stage_count; i++) {
		int wanted = run_name_columns(&view->stages[i]);

		widest = wanted > widest ? wanted : widest;
	}
	left = columns - table->number_columns - 3 - 2 - STATE_COLUMNS;
	table->rate = left - RIGHT_FULL >= NAME_LEAST;
	table->processor = table->rate || left - RIGHT_NO_RATE >= NAME_LEAST;
	left -= table->rate ? RIGHT_FULL : table->processor ? RIGHT_NO_RATE : 0;
	if (left < NAME_LEAST)
		left = NAME_LEAST;
	table->name_columns = widest < left ? widest : left;
}

/* Which stages, when there is room for so many lines: around the one that matters. */
static void put_stages(const struct table *table, int lines)
{
	const struct run_view *view = table->view;
	int count = view->stage_count, first = 0, pipe = 0;
	bool pipes = lines == 0 || count + view->pipe_count <= lines;

	if (lines > 0 && count > lines) {
		count = lines > 1 ? lines - 1 : 1;
		first = view->bottleneck - count / 2;
		if (first > view->stage_count - count)
			first = view->stage_count - count;
		if (first < 0)
			first = 0;
	}
	for (int i = first; i < first + count; i++) {
		put_stage(table, i);
		for (; pipes && pipe < view->pipe_count && view->pipes[pipe].from <= i; pipe++)
			if (view->pipes[pipe].from == i && view->pipes[pipe].to >= 0)
				put_pipe(table, &view->pipes[pipe]);
	}
	if (count < view->stage_count)
		fprintf(table->stream, "  and %d more stages, for which there is no room\n",
		        view->stage_count - count);
}

/* On a line of its own what it says of the neighbours, if the two do not fit on one. */
static void put_sentence(const struct table *table)
{
	char *text = NULL, *rest = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	if (!stream)
		return;
	run_draw_bottleneck(stream, table->view, table->style->utf8);
	if (fclose(stream) == 0) {
		if (table->style->rows > 0 && (int)length > table->style->columns)
			rest = strstr(text, "; ");
		if (rest)
			*rest = '\0';
		fprintf(table->stream, "%s%s%s\n", text, rest ? ";\n  " : "", rest ? rest + 2 : "");
	}
	free(text);
}

char *run_draw(const struct run_view *view, const struct run_style *style)
{
	struct table table = {.view = view, .style = style};
	char *text = NULL;
	size_t length;

	table.stream = open_memstream(&text, &length);
	if (!table.stream)
		return NULL;
	measure(&table);
	put_header(&table);
	/* Without the header, the sentence of one line or two, and the line of the cursor. */
	put_stages(&table, style->rows == 0 ? 0 : style->rows > 5 ? style->rows - 4 : 1);
	if (view->stage_count > 1)
		put_sentence(&table);
	if (fclose(table.stream) == 0)
		return text;
	free(text);
	return NULL;
}
