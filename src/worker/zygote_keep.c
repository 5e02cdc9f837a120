/*
 * The keeper: the process that the host starts, which makes the zygote of itself, waits, and ends it.
 *
 *	host ---- socket ----+
 *	  |                  |
 *	keeper ---- socket --+   hears of hang-ups only, and reads nothing
 *	  |
 *	zygote                   number 1 in a process namespace, where there is one; leads a group
 *	  |
 *	workers, and whatever else a constructor makes
 *
 * Invariant: when the host is gone, however that came, the rest is, soon. Nothing of a module ever runs in the
 * keeper. What a module can call neither signals it nor leaves the zygote's group, and does not undo that the
 * zygote is killed when the keeper is, should somebody do that: the first filter sees to it. Then the kernel ends
 * the namespace; without one those would be left that a constructor made.
 */
#include "sys/event.h"
#include "sys/family.h"
#include "sys/file.h"
#include "sys/privilege.h"
#include "worker/confine.h"
#include "worker/zygote.h"

int ayrei_zygote_keep(struct ayrei_zygote *zygote)
{
	struct ayrei_family family = {.first = 0};
	struct ayrei_event event;
	int set = ayrei_set_open();
	int result = set < 0 ? set : ayrei_set_add(set, AYREI_CHANNEL_SOCKET, 0, 0);

	if (result == 0)
		result = ayrei_family_found(!(zygote->without & AYRE_LAYER_NAMESPACES), &family);
	if (result < 0 || family.first == 0) {
		ayrei_file_close(set);
		zygote->is_apart = family.is_apart;
		return result;
	}
	/* There is nothing to be seen, and of an end like the zygote's no core. */
	(void)ayrei_process_hide();
	if (ayrei_set_add(set, family.pidfd, AYREI_READABLE, 0) == 0)
		(void)ayrei_set_wait(set, &event, 1, INT64_MAX);
	ayrei_end_like(ayrei_family_end(&family));
}
