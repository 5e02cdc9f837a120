/*
 * Spinning before sleeping.
 *
 * A sleep and a wake cost tens of microseconds across processors, and a turn of the spin some
 * nanoseconds; so up to what a wake costs is well spent where messages come that often, and lost where
 * they come seldom, or where the other side needs this processor to run on. The budget doubles when
 * spinning helped and halves when it did not, down to nothing; then every so often it is tried again.
 */
#include "sys/spin.h"

#include "sys/cpu.h"
#include "sys/event.h"

#define MOST_NS       50000
#define PROBE_NS      4000
#define WAITS_A_PROBE 64
#define TURNS_A_CLOCK 16

void ayrei_spin_init(struct ayrei_spin *spin, int64_t wanted_ns)
{
	spin->adapts = wanted_ns == 0;
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
