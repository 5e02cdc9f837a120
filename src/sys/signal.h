/*
 * Keeping a signal that our own calls may raise from the host.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

struct ayrei_signal_hold {
	sigset_t before;
	bool was_pending;
};

/*
 * Between the two, SIGPIPE stays in this thread, and is forgotten unless it was pending before.
 * The mask is then what it was.
 */
void ayrei_sigpipe_hold(struct ayrei_signal_hold *hold);
void ayrei_sigpipe_release(const struct ayrei_signal_hold *hold);
