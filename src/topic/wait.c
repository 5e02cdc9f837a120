/*
 * Staying away from a stream for a moment.
 *
 * A reader that has caught up with a stream looks at the line that the writer is about to write, and takes it
 * away again and again: then each message costs both sides what a cache line does, there and back. One
 * that stays away for a while finds many at once, and its writer was not disturbed meanwhile: twice
 * as many a second. What it costs is that while in time, so it is short, and begins only
 * behind a run of messages that came faster than they could be read: no answer to a question is
 * ever late.
 */
#include "topic/wait.h"

#include "sys/cpu.h"
#include "sys/event.h"

#define RUN_LEAST     8 /* messages: a stream */
#define RUN_ENOUGH    1024
#define STAY_FIRST    1000 /* nanoseconds */
#define STAY_MOST     8000
#define RING_PART     4
#define PAUSES_A_LOOK 4 /* at the clock */

void ayrei_gathering_learn(struct ayrei_gathering *gathering, uint64_t messages, uint64_t bytes,
                           uint64_t ring_bytes)
{
	uint64_t run = messages - gathering->messages, run_bytes = bytes - gathering->bytes;
	int64_t stay = gathering->stay_ns;

	gathering->messages = messages;
	gathering->bytes = bytes;
	if (run < RUN_LEAST)
		stay = 0;
	else if (run_bytes > ring_bytes / RING_PART)
		stay /= 2;
	else if (run < RUN_ENOUGH)
		stay = stay ? 2 * stay : STAY_FIRST;
	gathering->stay_ns = stay > STAY_MOST ? STAY_MOST : stay;
}

void ayrei_gathering_stay(const struct ayrei_gathering *gathering, int64_t deadline_ns)
{
	int64_t now = ayrei_monotonic_ns(), end = now + gathering->stay_ns;

	while (now < end && now < deadline_ns) {
		for (int i = 0; i < PAUSES_A_LOOK; i++)
			ayrei_pause();
		now = ayrei_monotonic_ns();
	}
}
