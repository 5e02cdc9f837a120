/*
 * The loop: one poll(2) over signals, workers and named pipes.
 *
 * Invariant: nothing waits but poll(), and that only while something can come: a call that ends by
 * its deadline at the latest, a signal, or what somebody writes to a pipe.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "gallery.h"

#define EVENTS_MAX (1 + 2 * DECODERS_MAX)

struct progress {
	size_t done, failed, under_way;
};

static struct progress sum_up(const struct gallery *gallery)
{
	struct progress sum = {0};

	for (size_t i = 0; i < gallery->decoder_count; i++) {
		sum.done += gallery->decoders[i].done_count;
		sum.failed += gallery->decoders[i].failed_count;
		sum.under_way += gallery->decoders[i].under_way;
	}
	return sum;
}

static void draw_progress(struct gallery *gallery, const struct progress *sum)
{
	if (!gallery->is_terminal)
		return;
	fprintf(stderr, "\r\033[K%zu of %zu pictures, %zu failed, %zu under way", sum->done,
	        gallery->folder.count, sum->failed, sum->under_way);
	fflush(stderr);
	gallery->has_progress_line = true;
}

static void end_progress(struct gallery *gallery)
{
	if (gallery->has_progress_line)
		fputs("\r\033[K", stderr);
	gallery->has_progress_line = false;
}

/* Of those that can take a picture, the one whose next stands first. */
static struct decoder *choose(struct gallery *gallery)
{
	struct decoder *best = NULL;
	size_t first = NO_PICTURE;

	for (size_t i = 0; i < gallery->decoder_count; i++) {
		struct decoder *decoder = &gallery->decoders[i];
		size_t next = NO_PICTURE;

		if (decoder->worker && !decoder->is_paused && !decoder->is_full)
			next = decoder_next(gallery, decoder);
		if (next < first) {
			first = next;
			best = decoder;
		}
	}
	return best;
}

static void begin_what_can_be(struct gallery *gallery)
{
	struct decoder *decoder;

	while (sum_up(gallery).under_way < gallery->options.processes &&
	       (decoder = choose(gallery)))
		decoder_begin(gallery, decoder);
}

bool work_should_stop(void *context)
{
	struct gallery *gallery = context;
	struct signalfd_siginfo signal;

	if (gallery->signal == 0 &&
	    read(gallery->signals, &signal, sizeof(signal)) == sizeof(signal))
		gallery->signal = (int)signal.ssi_signo;
	return gallery->signal != 0;
}

/* Two for each decoder, one of them or both not there. */
static nfds_t list_events(struct gallery *gallery, struct pollfd events[EVENTS_MAX])
{
	nfds_t count = 0;

	events[count++] = (struct pollfd){.fd = gallery->signals, .events = POLLIN};
	for (size_t i = 0; i < gallery->decoder_count; i++) {
		struct decoder *decoder = &gallery->decoders[i];
		int worker = decoder->worker ? ayre_worker_fd(decoder->worker) : -1;
		int control = decoder->control ? ayre_pipe_fd(decoder->control) : -1;

		events[count++] = (struct pollfd){.fd = worker, .events = POLLIN};
		events[count++] = (struct pollfd){.fd = control, .events = POLLIN};
	}
	return count;
}

static void attend(struct gallery *gallery, const struct pollfd events[EVENTS_MAX])
{
	for (size_t i = 0; i < gallery->decoder_count; i++) {
		/* What somebody wants comes before what is done meanwhile. */
		if (events[2 + 2 * i].revents)
			control_listen(gallery, &gallery->decoders[i]);
		if (events[1 + 2 * i].revents)
			decoder_collect(gallery, &gallery->decoders[i]);
	}
}

int work_run(struct gallery *gallery)
{
	struct pollfd events[EVENTS_MAX];
	struct progress sum;

	for (;;) {
		begin_what_can_be(gallery);
		sum = sum_up(gallery);
		draw_progress(gallery, &sum);
		if (sum.done == gallery->folder.count || work_should_stop(gallery))
			break;
		if (poll(events, list_events(gallery, events), -1) == -1) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		attend(gallery, events);
	}
	end_progress(gallery);
	return 0;
}
