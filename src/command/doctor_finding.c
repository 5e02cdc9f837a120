/*
 * What the doctor found, and the files of the kernel that it reads.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/doctor.h"

struct doctor_finding *doctor_add(struct doctor *doctor, const char *group, const char *name)
{
	struct doctor_finding *finding = &doctor->spare;

	if (doctor->count == doctor->room) {
		size_t room = doctor->room ? 2 * doctor->room : 64;
		void *larger = reallocarray(doctor->findings, room, sizeof(*doctor->findings));

		if (larger) {
			doctor->findings = larger;
			doctor->room = room;
		}
	}
	if (doctor->count < doctor->room)
		finding = &doctor->findings[doctor->count++];
	else
		doctor->fell_short = true;
	*finding = (struct doctor_finding){.group = group, .name = name, .bytes = -1, .count = -1};
	return finding;
}

void doctor_say(struct doctor_finding *finding, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(finding->value, sizeof(finding->value), format, arguments);
	va_end(arguments);
}

void doctor_judge(struct doctor_finding *finding, enum doctor_verdict verdict, const char *format,
                  ...)
{
	va_list arguments;

	finding->verdict = verdict;
	va_start(arguments, format);
	vsnprintf(finding->costs, sizeof(finding->costs), format, arguments);
	va_end(arguments);
}

void doctor_mend(struct doctor_finding *finding, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(finding->mend, sizeof(finding->mend), format, arguments);
	va_end(arguments);
}

const char *doctor_quote(const char *word, char *text, size_t text_bytes)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,-";
	size_t length = 0;

	if (word[strspn(word, plain)] == '\0') {
		snprintf(text, text_bytes, "%s", word);
		return text;
	}
	text[length++] = '\'';
	/* A quote ends the quotes, is itself by a backslash, and begins them anew. */
	for (; *word && length + 6 < text_bytes; word++) {
		if (*word == '\'') {
			memcpy(text + length, "'\\'", 3);
			length += 3;
		}
		text[length++] = *word;
	}
	memcpy(text + length, "'", 2);
	return text;
}

void doctor_judge_error(struct doctor_finding *finding, const struct ayre_error *error)
{
	char text[640];

	doctor_judge(finding, DOCTOR_TROUBLE, "%s", ayre_error_text(error, text, sizeof(text)));
}

bool doctor_read_number(const char *path, int64_t *ret_number)
{
	FILE *file = fopen(path, "re");
	bool found = file && fscanf(file, "%" SCNd64, ret_number) == 1;

	if (file)
		fclose(file);
	return found;
}

void doctor_read_line(const char *path, char *line, size_t line_bytes)
{
	FILE *file = fopen(path, "re");

	line[0] = '\0';
	if (!file)
		return;
	if (fgets(line, (int)line_bytes, file))
		line[strcspn(line, "\n")] = '\0';
	fclose(file);
}

bool doctor_status_is(const char *label, int64_t number)
{
	FILE *file = fopen("/proc/self/status", "re");
	size_t length = strlen(label);
	bool is = false;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, label, length) == 0)
			is = strtoll(line + length, NULL, 10) == number;
	if (file)
		fclose(file);
	return is;
}

int64_t doctor_count_entries(const char *directory)
{
	DIR *stream = opendir(directory);
	int64_t count = -2;

	if (!stream)
		return -1;
	while (readdir(stream))
		count++;
	closedir(stream);
	return count < 0 ? 0 : count;
}
