/*
 * A note in System V shared memory (system S1): a key from a file and a letter, create or
 * connect, attach, read or write, detach, remove.
 *
 *   sysv_note FILE LETTER write TEXT
 *   sysv_note FILE LETTER read
 *   sysv_note FILE LETTER remove
 *
 * FILE only has to exist: its identity and LETTER make the key. The segment has 1 KiB and holds
 * a text with a NUL byte behind it, so any program of the textbooks can share it.
 *
 * Compiled by
 *
 *   cc -o sysv_note sysv_note.c $(pkg-config --cflags --libs ayre)
 */
#include <stdio.h>
#include <string.h>

#include <ayre.h>

#define NOTE_BYTES 1024

static int complain(const struct ayre_error *error)
{
	char text[640];

	fprintf(stderr, "sysv_note: %s\n", ayre_error_text(error, text, sizeof(text)));
	return 1;
}

static int write_note(const char *name, const char *text)
{
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.flags = AYRE_SEGMENT_CREATE,
		.size_bytes = NOTE_BYTES,
	};
	struct ayre_segment *segment;
	struct ayre_error error;
	int created;

	if (strlen(text) >= NOTE_BYTES) {
		fprintf(stderr, "sysv_note: a note has at most %d bytes\n", NOTE_BYTES - 1);
		return 1;
	}
	/* One call finds the key, creates the segment or connects to it, and attaches it. */
	created = ayre_segment_open(&options, name, &segment, &error);
	if (created < 0)
		return complain(&error);
	strcpy(ayre_segment_data(segment), text);
	printf("%s a segment, wrote: %s\n", created ? "created" : "connected to", text);
	/* Detaches. The segment stays, until it is removed or the machine restarts. */
	ayre_segment_close(segment);
	return 0;
}

static int read_note(const char *name)
{
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.flags = AYRE_SEGMENT_READ_ONLY,
	};
	struct ayre_segment *segment;
	struct ayre_error error;
	size_t length;

	if (ayre_segment_open(&options, name, &segment, &error) < 0)
		return complain(&error);
	/* Others may store what they like, so the NUL is looked for within the segment. */
	length = ayre_segment_size(segment);
	printf("%.*s\n", (int)length, (const char *)ayre_segment_data(segment));
	ayre_segment_close(segment);
	return 0;
}

static int remove_note(const char *name)
{
	struct ayre_error error;

	return ayre_segment_remove(name, &error) < 0 ? complain(&error) : 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc >= 4 ? argv[3] : "";
	char name[4200];
	int result = 2;

	if (argc >= 4 && strlen(argv[2]) == 1) {
		snprintf(name, sizeof(name), "sysv:%s:%s", argv[1], argv[2]);
		if (argc == 5 && strcmp(verb, "write") == 0)
			result = write_note(name, argv[4]);
		else if (argc == 4 && strcmp(verb, "read") == 0)
			result = read_note(name);
		else if (argc == 4 && strcmp(verb, "remove") == 0)
			result = remove_note(name);
	}
	if (result == 2)
		fprintf(stderr, "usage: sysv_note FILE LETTER write TEXT | read | remove\n");
	return result == 0 && fflush(stdout) != 0 ? 1 : result;
}
