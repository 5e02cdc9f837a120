/*
 * A named pipe for each worker, both ends asynchronous: whoever wants to say something while it
 * works writes a line there. Nobody waits for anybody: not gallery for a writer, nor a writer for
 * more than gallery's next look.
 *
 *   skip NAME    the picture is left out, also if it is being decoded
 *   stop         so are all that are left of this worker
 *   pause        begin no other picture with it
 *   resume       go on
 *   status       tell on standard error how far it is
 *
 * Invariant: a line has an effect when it is whole; a longer one than there can be has none.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gallery.h"

struct command {
	const char *word;
	bool takes_name;
	void (*run)(struct gallery *gallery, struct decoder *decoder, const char *name);
};

static void skip(struct gallery *gallery, struct decoder *decoder, const char *name)
{
	size_t number = (size_t)(decoder - gallery->decoders);
	char clean[PATH_MAX];

	for (size_t i = 0; i < gallery->folder.count; i++) {
		struct picture *picture = &gallery->folder.pictures[i];

		if (picture->decoder != number || strcmp(picture->name, name) != 0)
			continue;
		/* What is done already stays. */
		decoder_give_up(gallery, picture, PICTURE_SKIPPED,
		                &(struct trouble){"skipped", "somebody asked for it"});
		return;
	}
	text_clean(name, strlen(name), clean, sizeof(clean));
	text_say(gallery, "%s: no such picture: %s", decoder->name, clean);
}

static void stop(struct gallery *gallery, struct decoder *decoder, const char *name)
{
	(void)name;
	decoder->is_stopped = true;
	decoder_give_up_all(gallery, decoder, PICTURE_SKIPPED,
	                    &(struct trouble){"stopped", "before it could be decoded"});
}

static void pause_decoder(struct gallery *gallery, struct decoder *decoder, const char *name)
{
	(void)gallery;
	(void)name;
	decoder->is_paused = true;
}

static void resume(struct gallery *gallery, struct decoder *decoder, const char *name)
{
	(void)gallery;
	(void)name;
	decoder->is_paused = false;
}

static void tell_status(struct gallery *gallery, struct decoder *decoder, const char *name)
{
	(void)name;
	text_say(gallery, "%s: %zu of %zu done, %zu failed, %zu under way%s%s", decoder->name,
	         decoder->done_count, decoder->count, decoder->failed_count, decoder->under_way,
	         decoder->is_paused ? ", paused" : "", decoder->is_stopped ? ", stopped" : "");
}

static const struct command commands[] = {
	{"skip", true, skip},      {"stop", false, stop},          {"pause", false, pause_decoder},
	{"resume", false, resume}, {"status", false, tell_status},
};

static void obey(struct gallery *gallery, struct decoder *decoder, const char *line)
{
	char clean[PATH_MAX];

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		size_t length = strlen(commands[i].word);
		char behind = commands[i].takes_name ? ' ' : '\0';

		if (strncmp(line, commands[i].word, length) == 0 && line[length] == behind) {
			commands[i].run(gallery, decoder, line + length + (behind == ' '));
			return;
		}
	}
	text_clean(line, strlen(line), clean, sizeof(clean));
	text_say(gallery, "%s: not understood: %s", decoder->name, clean);
}

static void take(struct gallery *gallery, struct decoder *decoder, char byte)
{
	if (byte != '\n') {
		if (decoder->line_bytes == sizeof(decoder->line) - 1)
			decoder->is_line_too_long = true;
		else
			decoder->line[decoder->line_bytes++] = byte;
		return;
	}
	decoder->line[decoder->line_bytes] = '\0';
	if (decoder->is_line_too_long)
		text_say(gallery, "%s: a line that is too long", decoder->name);
	else if (decoder->line_bytes > 0)
		obey(gallery, decoder, decoder->line);
	decoder->line_bytes = 0;
	decoder->is_line_too_long = false;
}

/* A part at a time, so that who writes without end keeps nobody from the pictures. */
void control_listen(struct gallery *gallery, struct decoder *decoder)
{
	char bytes[WORD_MAX];
	ssize_t got = ayre_pipe_try_read(decoder->control, bytes, sizeof(bytes));

	for (ssize_t i = 0; i < got; i++)
		take(gallery, decoder, bytes[i]);
	/* The writers have left: so ends a line without an end. */
	if (got == 0)
		take(gallery, decoder, '\n');
	if (got >= 0 || got == -EAGAIN)
		return;
	text_say(gallery, "%s: its pipe is closed: %s", decoder->name, strerror((int)-got));
	ayre_pipe_close(decoder->control);
	decoder->control = NULL;
}

/* --- the pipes --- */

static int make_directory(struct gallery *gallery)
{
	const char *above = getenv("TMPDIR");

	if (gallery->options.control) {
		gallery->control_directory = strdup(gallery->options.control);
		if (!gallery->control_directory)
			return -ENOMEM;
		gallery->has_control_directory = mkdir(gallery->control_directory, 0700) == 0;
		return gallery->has_control_directory || errno == EEXIST ? 0 : -errno;
	}
	if (asprintf(&gallery->control_directory, "%s/gallery.XXXXXX",
	             above && *above ? above : "/tmp") == -1) {
		gallery->control_directory = NULL;
		return -ENOMEM;
	}
	if (!mkdtemp(gallery->control_directory))
		return -errno;
	gallery->has_control_directory = true;
	return 0;
}

static int path_of(const struct gallery *gallery, const struct decoder *decoder,
                   char path[PATH_MAX])
{
	int length = snprintf(path, PATH_MAX, "%s/%s", gallery->control_directory, decoder->name);

	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int open_pipe(struct gallery *gallery, struct decoder *decoder, struct ayre_error *error)
{
	char path[PATH_MAX];
	int result = path_of(gallery, decoder, path);

	if (result < 0)
		return result;
	/* A name that is there already may be another gallery's. */
	result = ayre_fifo_create(NULL, path, error);
	if (result < 0)
		return result;
	decoder->has_name = true;
	result = ayre_fifo_open(NULL, path, AYRE_FIFO_READ, &decoder->control, error);
	if (result == 0 && gallery->options.is_verbose)
		text_say(gallery, "control %s: %s", decoder->name, path);
	return result;
}

int control_open(struct gallery *gallery)
{
	struct ayre_error error = {.code = 0};
	int result = make_directory(gallery);
	char text[640];

	if (result < 0)
		text_say(gallery, "%s: %s",
		         gallery->control_directory ? gallery->control_directory : "control",
		         strerror(-result));
	for (size_t i = 0; result == 0 && i < gallery->decoder_count; i++)
		if (gallery->decoders[i].worker)
			result = open_pipe(gallery, &gallery->decoders[i], &error);
	if (error.code)
		text_say(gallery, "%s", ayre_error_text(&error, text, sizeof(text)));
	return result;
}

void control_close(struct gallery *gallery)
{
	char path[PATH_MAX];
	int result = 0;

	for (size_t i = 0; i < gallery->decoder_count; i++) {
		struct decoder *decoder = &gallery->decoders[i];

		ayre_pipe_close(decoder->control);
		decoder->control = NULL;
		if (decoder->has_name && path_of(gallery, decoder, path) == 0)
			result = ayre_fifo_remove(path, NULL);
		if (result < 0 && result != -ENOENT)
			text_say(gallery, "%s: %s", path, strerror(-result));
		decoder->has_name = false;
	}
	if (gallery->has_control_directory)
		rmdir(gallery->control_directory);
	gallery->has_control_directory = false;
	free(gallery->control_directory);
	gallery->control_directory = NULL;
}
