/*
 * The meter on standard error: redrawn in place on a terminal, else printed once.
 *
 * Invariant: between two frames the cursor stands at the beginning of the line below the last one,
 * so that whoever else writes there, or ends us, finds a clean line.
 */
#include "command/run.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Where there is no terminal to tell. */
#define PLAIN_COLUMNS 100

/* A terminal that understands, and a user who wants it. */
static bool can_redraw(void)
{
	const char *terminal = getenv("TERM"), *plain = getenv("NO_COLOR");

	return isatty(STDERR_FILENO) && !(plain && plain[0]) && terminal && terminal[0] &&
	       strcmp(terminal, "dumb") != 0;
}

void run_meter_init(struct run_meter *meter)
{
	*meter = (struct run_meter){.live = can_redraw()};
}

void run_meter_fini(struct run_meter *meter)
{
	free(meter->last);
	meter->last = NULL;
}

static struct run_style style_now(const struct run_meter *meter)
{
	struct run_style style = {.columns = PLAIN_COLUMNS, .utf8 = run_locale_is_utf8()};
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		style.columns = size.ws_col;
	if (!meter->live)
		return style;
	style.colour = true;
	style.rows = size.ws_row > 0 ? size.ws_row : 24;
	return style;
}

int run_write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t count = write(fd, text, length);

		if (count < 0 && errno == EAGAIN) {
			struct pollfd room = {.fd = fd, .events = POLLOUT};

			poll(&room, 1, -1);
			continue;
		}
		if (count < 0 && errno != EINTR)
			return -errno;
		if (count > 0) {
			text += count;
			length -= (size_t)count;
		}
	}
	return 0;
}

/* Up over the last frame, then each line of the new one, and whatever the old had more of away. */
static char *over_the_last(const struct run_meter *meter, const char *frame, int columns)
{
	char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	if (!stream)
		return NULL;
	if (meter->last)
		fprintf(stream, "\r\033[%dA", run_text_rows(meter->last, columns));
	for (const char *c = frame; *c; c++) {
		if (*c == '\n')
			fputs("\033[K", stream);
		fputc(*c, stream);
	}
	fputs("\033[J", stream);
	if (fclose(stream) == 0)
		return text;
	free(text);
	return NULL;
}

static char *clip(const char *text, int columns)
{
	char *clipped = NULL;
	size_t length;
	FILE *stream = open_memstream(&clipped, &length);

	if (!stream)
		return NULL;
	run_put_clipped(stream, text, columns);
	if (fclose(stream) == 0)
		return clipped;
	free(clipped);
	return NULL;
}

static bool takes_text(void)
{
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&room, 1, 0) == 1 && (room.revents & POLLOUT);
}

void run_meter_show(struct run_meter *meter, const struct run_view *view)
{
	struct run_style style = style_now(meter);
	char *whole, *frame, *text;

	if (!meter->live || !takes_text())
		return;
	whole = run_draw(view, &style);
	frame = whole ? clip(whole, style.columns) : NULL;
	text = frame ? over_the_last(meter, frame, style.columns) : NULL;
	if (text) {
		/* One call, so that no line of a stage's comes in between. */
		if (run_write_all(STDERR_FILENO, text, strlen(text)) < 0)
			meter->live = false;
		free(meter->last);
		meter->last = frame;
		frame = NULL;
	}
	free(text);
	free(frame);
	free(whole);
}

void run_meter_end(struct run_meter *meter, const struct run_view *view)
{
	struct run_style style = style_now(meter);
	char *text;

	if (meter->live) {
		run_meter_show(meter, view);
		return;
	}
	text = run_draw(view, &style);
	if (text)
		(void)run_write_all(STDERR_FILENO, text, strlen(text));
	free(text);
}
