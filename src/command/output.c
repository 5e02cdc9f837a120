/*
 * What the command says, and how it ends when nobody can hear it.
 */
#include "command/output.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command/command.h"

static const char *speaking_noun, *speaking_verb;
static bool write_reported;

void output_name(const char *noun, const char *verb)
{
	speaking_noun = noun;
	speaking_verb = verb;
}

/* In one piece, so that the lines of two processes do not mix. */
static void write_line(const char *text)
{
	char line[1200];
	size_t length;

	snprintf(line, sizeof(line), "ayre: %s%s%s%s%s\n", speaking_noun ? speaking_noun : "",
	         speaking_noun ? (speaking_verb ? " " : ": ") : "",
	         speaking_verb ? speaking_verb : "", speaking_verb ? ": " : "", text);
	length = strlen(line);
	fflush(stdout);
	(void)!write(STDERR_FILENO, line, length);
}

static void say(const char *format, va_list arguments)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, arguments);
	/* A name can hold anything; an error is one line all the same. */
	for (char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	write_line(text);
}

int output_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	return EXIT_FAILED;
}

int output_usage(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	return EXIT_USAGE;
}

int output_missing(const char *synopsis)
{
	char text[1024];
	size_t length = 0;

	/* Its lines are for the help; an error is one. */
	for (; *synopsis && length + 1 < sizeof(text); synopsis++) {
		if (*synopsis == '\n')
			synopsis += strspn(synopsis, "\n ") - 1;
		text[length++] = *synopsis;
	}
	text[length] = '\0';
	return output_usage("something is missing: %s", text);
}

void output_note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
}

int output_error(const struct ayre_error *error)
{
	char text[640];

	return output_fail("%s", ayre_error_text(error, text, sizeof(text)));
}

int output_unknown(const char *word, const char *nearest)
{
	if (nearest)
		return output_usage("'%s' is not known; did you mean '%s'?", word, nearest);
	return output_usage("'%s' is not known; see 'ayre help%s%s'", word,
	                    speaking_noun ? " " : "", speaking_noun ? speaking_noun : "");
}

/* Whoever ignored the signal for us. */
void output_reader_gone(void)
{
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

static int report_write(void)
{
	if (errno == EPIPE)
		output_reader_gone();
	if (!write_reported)
		output_fail("standard output: %s", strerror(errno));
	write_reported = true;
	return EXIT_FAILED;
}

static bool is_lively(int fd)
{
	const char *plain = getenv("NO_COLOR");

	return isatty(fd) && !(plain && plain[0]);
}

bool output_shows_progress(void)
{
	return is_lively(STDERR_FILENO);
}

bool output_shows_colour(void)
{
	return is_lively(STDOUT_FILENO);
}

int output_print(const char *format, ...)
{
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = vprintf(format, arguments);
	va_end(arguments);
	return result >= 0 ? EXIT_DONE : report_write();
}

int output_bytes(const void *bytes, size_t length)
{
	return fwrite(bytes, 1, length, stdout) == length ? EXIT_DONE : report_write();
}

int output_flush(void)
{
	return fflush(stdout) == 0 ? EXIT_DONE : report_write();
}

int output_json(json_t *document)
{
	int result;

	if (!document)
		return output_fail("%s", strerror(ENOMEM));
	result = json_dumpf(document, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
	json_decref(document);
	return result ? EXIT_DONE : report_write();
}

json_t *output_text_json(const char *text)
{
	json_t *value = text ? json_string(text) : json_null();
	char *plain;

	if (value)
		return value;
	plain = strdup(text);
	if (!plain)
		return NULL;
	for (char *c = plain; *c; c++)
		if (*c & 0x80)
			*c = '?';
	value = json_string(plain);
	free(plain);
	return value;
}

int output_finish(int exit_code)
{
	if (fflush(stdout) != 0)
		report_write();
	return exit_code == EXIT_DONE && ferror(stdout) ? EXIT_FAILED : exit_code;
}

const char *format_size(uint64_t bytes, char text[16])
{
	static const char units[] = " KMGTPE";
	double number = (double)bytes;
	const char *unit = units;

	while (number >= 1024 && unit[1]) {
		number /= 1024;
		unit++;
	}
	if (unit == units)
		snprintf(text, 16, "%" PRIu64, bytes);
	else if (number < 9.95 && number != (double)(int)number)
		snprintf(text, 16, "%.1f%c", number, *unit);
	else
		snprintf(text, 16, "%.0f%c", number, *unit);
	return text;
}

const char *format_time(int64_t realtime_ns, char text[32])
{
	time_t seconds = (time_t)(realtime_ns / 1000000000);
	struct tm fields;

	if (realtime_ns < 0 || !localtime_r(&seconds, &fields) ||
	    strftime(text, 32, "%Y-%m-%d %H:%M:%S", &fields) == 0)
		strcpy(text, "-");
	return text;
}

const char *format_user(uint32_t uid, char text[64])
{
	/* Most rows of a list have one owner; looking one up can cost a file or a server. */
	static uint32_t last_uid = UINT32_MAX;
	static char last_name[64];
	struct passwd *entry;

	if (uid != last_uid) {
		entry = getpwuid(uid);
		if (entry)
			snprintf(last_name, sizeof(last_name), "%s", entry->pw_name);
		else
			snprintf(last_name, sizeof(last_name), "%" PRIu32, uid);
		last_uid = uid;
	}
	strcpy(text, last_name);
	return text;
}
