/*
 * Spinning before sleeping.
 *
 * A sleep and a wake cost tens of microseconds across processors, and a turn of the spin some
 * nanoseconds; so up to what a wake costs is well spent where messages come that often, and lost where
 * they come seldom, or where the other side needs this processor to run on. The budget doubles when
 * spinning helped and halves when it did not, down to nothing; then every so often it is tried again.
 */
#include "topic/wait.h"

#include <ayre/topic.h>

#include "sys/cpu.h"
#include "sys/event.h"

/* --- spinning --- */

#define MOST_NS       50000
#define PROBE_NS      4000
#define WAITS_A_PROBE 64
#define TURNS_A_CLOCK 16

void ayrei_spin_init(struct ayrei_spin *spin, int64_t wanted_ns)
{
	spin->adapts = wanted_ns == AYRE_SPIN_ADAPT;
	spin->budget_ns = spin->adapts ? MOST_NS / 4 : wanted_ns < 0 ? 0 : wanted_ns;
	spin->waits = 0;
}

void ayrei_spin_learn(struct ayrei_spin *spin, bool helped)
{
	if (!spin->adapts)
		return;
	if (helped)
		spin->budget_ns = spin->budget_ns > MOST_NS / 2 ? MOST_NS : 2 * spin->budget_ns;
	else if (spin->budget_ns)
		spin->budget_ns = spin->budget_ns / 2 < PROBE_NS ? 0 : spin->budget_ns / 2;
	else if (++spin->waits % WAITS_A_PROBE == 0)
		spin->budget_ns = PROBE_NS;
}

bool ayrei_spin_turn(const struct ayrei_spin *spin, struct ayrei_spinning *spinning,
                     int64_t deadline_ns)
{
	int64_t now;

	if (spin->budget_ns == 0)
		return false;
	ayrei_pause();
	if (++spinning->turns % TURNS_A_CLOCK != 0)
		return true;
	now = ayrei_monotonic_ns();
	if (spinning->turns == TURNS_A_CLOCK)
		spinning->end_ns =
			spin->budget_ns > INT64_MAX - now ? INT64_MAX : now + spin->budget_ns;
	return now < spinning->end_ns && now < deadline_ns;
}

/* --- staying away --- */

/*
 * A reader that has caught up with a stream looks at the line that the writer is about to write, and takes it
 * away again and again: then each message costs both sides what a cache line does, there and back. One
 * that stays away for a while finds many at once, and its writer was not disturbed meanwhile: twice
 * as many a second. What it costs is that while in time, so it is short, and begins only
 * behind a run of messages that came faster than they could be read: no answer to a question is
 * ever late.
 */
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
