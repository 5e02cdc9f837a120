/*
 * The words and columns of `ayre run`: what a meter and a report have in common.
 *
 * Invariant: what a command line holds, a terminal never gets to interpret.
 */
#include "command/run.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "command/output.h"

/* Of a command line that is longer nobody sees more anyway. */
#define NAME_BYTES_MAX 1024

/* A locale in which wcwidth(3) knows all of Unicode, whatever the user's is. */
static locale_t wide_locale(void)
{
	static locale_t locale;

	if (!locale)
		locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	return locale ? locale : LC_GLOBAL_LOCALE;
}

bool run_locale_is_utf8(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool result;

	if (!locale)
		return false;
	result = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
	freelocale(locale);
	return result;
}

/* Its length in bytes; 1 and *ret_columns -1 for what is no character. In wide_locale(). */
static size_t measure_character(const char *text, int *ret_columns)
{
	mbstate_t state = {0};
	wchar_t character;
	size_t length = mbrtowc(&character, text, strlen(text), &state);

	*ret_columns = -1;
	if (length == 0 || length > 4)
		return 1;
	*ret_columns = wcwidth(character);
	return length;
}

static int count_columns(const char *text)
{
	locale_t before = uselocale(wide_locale());
	int columns = 0;

	while (*text) {
		int width;

		text += measure_character(text, &width);
		columns += width < 0 ? 1 : width;
	}
	uselocale(before);
	return columns;
}

/* As many characters as fit; what does not print is '?'. */
static int put_columns(FILE *stream, const char *text, int columns, bool utf8)
{
	locale_t before = uselocale(wide_locale());
	int used = 0;

	while (*text) {
		int width;
		size_t length = measure_character(text, &width);
		bool prints = width >= 0 && (utf8 || length == 1);

		if (width < 0)
			width = 1;
		if (used + width > columns)
			break;
		if (prints)
			fwrite(text, 1, length, stream);
		else
			fprintf(stream, "%.*s", width, "??");
		used += width;
		text += length;
	}
	uselocale(before);
	return used;
}

/* The words of a stage, parted by spaces. NULL: no memory. */
static char *join_words(const struct ayre_stage_info *stage)
{
	char *text = malloc(NAME_BYTES_MAX);
	size_t length;

	if (!text)
		return NULL;
	length = (size_t)snprintf(text, NAME_BYTES_MAX, "%s", stage->name ? stage->name : "?");
	for (int i = 1; stage->arguments && stage->arguments[0] && stage->arguments[i]; i++) {
		const char *word = stage->arguments[i];

		if (length >= NAME_BYTES_MAX)
			break;
		length += (size_t)snprintf(text + length, NAME_BYTES_MAX - length, " %s",
		                           word[0] ? word : "''");
	}
	return text;
}

int run_name_columns(const struct ayre_stage_info *stage)
{
	char *text = join_words(stage);
	int columns = text ? count_columns(text) : 1;

	free(text);
	return columns;
}

int run_put_text(FILE *stream, const char *text, int columns, bool utf8)
{
	int used;

	if (count_columns(text) <= columns)
		return put_columns(stream, text, columns, utf8);
	used = put_columns(stream, text, columns - 1, utf8);
	fputs(utf8 ? "…" : "~", stream);
	return used + 1;
}

int run_put_name(FILE *stream, const struct ayre_stage_info *stage, int columns, bool utf8)
{
	char *text = join_words(stage);
	int used = run_put_text(stream, text ? text : "?", columns, utf8);

	free(text);
	return used;
}

/* The length of what begins here and only colours. */
static size_t colour_length(const char *text)
{
	size_t length = 2;

	if (text[0] != '\033' || text[1] != '[')
		return 0;
	while (text[length] && text[length] != 'm')
		length++;
	return length + (text[length] == 'm');
}

void run_put_clipped(FILE *stream, const char *text, int columns)
{
	locale_t before = uselocale(wide_locale());
	int used = 0;

	while (*text) {
		int width = 0;
		size_t length = colour_length(text);

		if (*text == '\n') {
			length = 1;
			used = 0;
		} else if (length == 0) {
			length = measure_character(text, &width);
			used += width < 0 ? 1 : width;
		}
		/* A colour that is behind the end is let through: it may be the reset. */
		if (used <= columns)
			fwrite(text, 1, length, stream);
		else if (width == 0)
			fwrite(text, 1, colour_length(text), stream);
		text += length;
	}
	uselocale(before);
}

int run_text_rows(const char *text, int columns)
{
	locale_t before = uselocale(wide_locale());
	int rows = 0, used = 0;

	while (*text) {
		int width = 0;
		size_t length = colour_length(text);

		if (*text == '\n') {
			length = 1;
			rows += used > columns ? (used + columns - 1) / columns : 1;
			used = 0;
		} else if (length == 0) {
			length = measure_character(text, &width);
			used += width < 0 ? 1 : width;
		}
		text += length;
	}
	uselocale(before);
	return rows;
}

const char *run_signal_name(int signal_number, char text[24])
{
	const char *name = sigabbrev_np(signal_number);

	if (name)
		snprintf(text, 24, "SIG%s", name);
	else if (signal_number >= SIGRTMIN && signal_number <= SIGRTMAX)
		snprintf(text, 24, "SIGRTMIN+%d", signal_number - SIGRTMIN);
	else
		snprintf(text, 24, "signal %d", signal_number);
	return text;
}

const char *run_outcome_words(const struct ayre_process_end *end, char text[48])
{
	char name[24];

	switch (end->outcome) {
	case AYRE_OUTCOME_RUNNING:
		return "running";
	case AYRE_OUTCOME_EXITED:
		snprintf(text, 48, "ended %d", end->status);
		return text;
	case AYRE_OUTCOME_SIGNALED:
		snprintf(text, 48, "killed by %s", run_signal_name(end->signal_number, name));
		return text;
	case AYRE_OUTCOME_NOT_STARTED:
		return "not started";
	case AYRE_OUTCOME_LOST:
		break;
	}
	return "lost";
}

const char *run_format_span(int64_t ns, char text[24])
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
	size_t unit = ns < 1000000 ? 0 : ns < 1000000000 ? 1 : 2;
	double number = (double)ns / units[unit].ns;

	if (ns < 0)
		return "-";
	snprintf(text, 24, "%.*f %s",
	         number < 10 && unit > 0    ? 2
	         : number < 100 && unit > 0 ? 1
	                                    : 0,
	         number, units[unit].name);
	return text;
}

const char *run_format_bytes(int64_t bytes, char text[16])
{
	return bytes < 0 ? "-" : format_size((uint64_t)bytes, text);
}
