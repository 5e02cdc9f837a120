/*
 * Where to begin: "next", "oldest", 17, 2026-11-26T12:00:00, 2026-11-26T12:00:00Z, @1795694400.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command/command.h"
#include "command/output.h"
#include "command/sub.h"

#define NS_PER_S INT64_C(1000000000)

/* ".25" of a second; what is beyond nanoseconds is not looked at. Moves *text behind it. */
static int64_t parse_fraction(const char **text)
{
	int64_t place = NS_PER_S, ns = 0;
	const char *digit = *text + 1;

	if (**text != '.' || !isdigit((unsigned char)*digit))
		return 0;
	for (; isdigit((unsigned char)*digit); digit++) {
		place /= 10;
		ns += place * (*digit - '0');
	}
	*text = digit;
	return ns;
}

static bool to_ns(int64_t seconds, int64_t fraction_ns, int64_t *ret_ns)
{
	return !__builtin_mul_overflow(seconds, NS_PER_S, ret_ns) &&
	       !__builtin_add_overflow(*ret_ns, fraction_ns, ret_ns) && *ret_ns >= 0;
}

/* "@SECONDS" since the beginning of 1970, UTC. */
static bool parse_seconds(const char *text, int64_t *ret_ns)
{
	long long seconds;
	char *rest;
	const char *end;
	int64_t fraction_ns;

	if (text[0] != '@' || !isdigit((unsigned char)text[1]))
		return false;
	errno = 0;
	seconds = strtoll(text + 1, &rest, 10);
	end = rest;
	fraction_ns = parse_fraction(&end);
	return errno == 0 && *end == '\0' && to_ns(seconds, fraction_ns, ret_ns);
}

static bool is_same(const struct tm *a, const struct tm *b)
{
	return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday &&
	       a->tm_hour == b->tm_hour && a->tm_min == b->tm_min && a->tm_sec == b->tm_sec;
}

/* Local time, or UTC with a 'Z' behind it. */
static bool parse_iso(const char *text, int64_t *ret_ns)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd";
	struct tm given = {0}, fields;
	int64_t fraction_ns;
	const char *end;
	time_t seconds;

	/* strptime(3) would take spaces, signs and fewer digits. */
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i])
			return false;
	end = strptime(text, "%Y-%m-%dT%H:%M:%S", &given);
	if (!end)
		return false;
	fraction_ns = parse_fraction(&end);
	given.tm_isdst = -1;
	fields = given;
	seconds = *end == 'Z' ? timegm(&fields) : mktime(&fields);
	/* A day that there is not becomes another one. */
	if (!is_same(&fields, &given) || strcmp(end, *end == 'Z' ? "Z" : "") != 0)
		return false;
	return to_ns(seconds, fraction_ns, ret_ns);
}

/* However large: no lane gets beyond INT64_MAX, and strtoll(3) takes a larger one for that. */
static bool parse_sequence(const char *text, int64_t *ret_sequence)
{
	char *rest;

	if (!isdigit((unsigned char)*text))
		return false;
	*ret_sequence = strtoll(text, &rest, 10);
	return *rest == '\0';
}

int sub_parse_from(const char *text, struct ayre_subscriber_options *options)
{
	if (strcmp(text, "next") == 0)
		options->from = AYRE_FROM_NEXT;
	else if (strcmp(text, "oldest") == 0)
		options->from = AYRE_FROM_OLDEST;
	else if (parse_sequence(text, &options->from_value))
		options->from = AYRE_FROM_SEQUENCE;
	else if (parse_seconds(text, &options->from_value) || parse_iso(text, &options->from_value))
		options->from = AYRE_FROM_TIME;
	else
		return output_usage(
			"--from: '%s' is not one of next, oldest, a message's number, a "
			"time from 1970 to 2262 (such as 2026-11-26T12:00:00, local, or "
			"with Z behind it, or @1795694400)",
			text);
	return EXIT_DONE;
}
