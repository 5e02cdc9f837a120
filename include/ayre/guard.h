/*
 * The guard against a file that is cut short while it is mapped.
 *
 * A mapped page whose file was truncated by somebody else raises SIGBUS when
 * it is touched, and that ends the process. ayre never lets this happen to
 * memory it can protect: System V segments cannot shrink, anonymous ones are
 * sealed, and ayre_segment_read() and ayre_segment_write() go through the
 * kernel and return an error instead. What is left is a pointer into a named
 * file. A host that follows such pointers and does not trust the file's other
 * users can install this guard.
 *
 * The library never installs it by itself: signal handlers are the host's.
 */
#pragma once

#include <ayre/api.h>

AYRE_BEGIN_DECLARATIONS

/**
 * ayre_guard_install() - turn SIGBUS in a segment into an error on that segment
 *
 * Installs a SIGBUS handler for the process. A fault inside a segment of ayre
 * puts a page of zeros there, which belongs to this process alone, and marks
 * the segment: from then on ayre_segment_check() returns -ESTALE. Every other
 * SIGBUS goes to the handler that was there before, or to the default action.
 * The zeros stay: reopen the segment to see the file again.
 *
 * May be called from any thread and more than once; segments that are already
 * open are covered. A handler that the host installs later takes the guard's
 * place unless it chains.
 *
 * Returns 1 if it was installed, 0 if it already stood, -EBUSY if the host has
 * since installed another handler on top, or the negative errno of
 * sigaction(2). Since 0.1.
 */
int ayre_guard_install(void) AYRE_MUST_CHECK;

/**
 * ayre_guard_remove() - put back the handler that the guard took over from
 *
 * Returns 0, -ENOENT if the guard is not installed, or -EBUSY if the host has
 * since installed another handler on top, which stays. Since 0.1.
 */
int ayre_guard_remove(void) AYRE_MUST_CHECK;

AYRE_END_DECLARATIONS
