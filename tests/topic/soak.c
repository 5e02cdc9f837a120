/*
 * The soak: without arguments a short test; with them
 *
 *   soak [--messages N] [--seconds N] [--publishers N] [--subscribers N] [--kills A-SECOND] [--seed N]
 *
 * until so many messages were received and found right. Prints how far it is, every ten seconds, and
 * the sums.
 *
 * The conductor starts whoever is missing, kills at random, clears away, and looks from outside: who does
 * not move for two seconds, sleeps in the kernel, and has a message before it (or, being a
 * publisher, nobody who still has to read), was not woken. What peers check themselves is in
 * soak_peer.c.
 */
#include "topic/soak.h"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include <ayre/topic_list.h>

#include "support/own.h"

#define MOST_STILL_NS (2 * SECOND)

struct soak *soak;

static struct soak_options options;
static uint64_t kills, joins;
static unsigned int failures;

const char *soak_topic(unsigned int topic)
{
	static const char *const names[] = {"reliable", "lossy", "careful"};

	return names[topic];
}

unsigned int soak_lane_of(unsigned int topic, uint64_t id)
{
	for (unsigned int i = 0; i < SOAK_LANES; i++) {
		uint64_t there = atomic_load(&soak->lanes[topic][i].id);

		if (there == 0 &&
		    atomic_compare_exchange_strong(&soak->lanes[topic][i].id, &there, id))
			return i;
		if (there == id)
			return i;
	}
	fprintf(stderr, "more than %d lanes\n", SOAK_LANES);
	_exit(1);
}

/* --- peers --- */

static void start_peer(struct soak_peer *peer)
{
	pid_t parent = getpid(), child;

	peer->seed = random_below(UINT32_MAX);
	peer->topic = peer->is_careful  ? SOAK_CAREFUL
	              : random_below(4) ? SOAK_RELIABLE
	                                : SOAK_LOSSY;
	peer->last_count = 0;
	peer->still_since_ns = now_ns();
	atomic_store(&peer->count, 0);
	atomic_store(&peer->begun, false);
	atomic_store(&peer->pauses, true);
	joins++;
	child = fork();
	require(child >= 0);
	/* In memory that both have. */
	if (child > 0) {
		peer->pid = child;
		return;
	}
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent)
		_exit(1);
	signal(SIGALRM, SIG_DFL);
	random_seed(peer->seed);
	_exit(peer->publishes ? soak_publish(peer) : soak_subscribe(peer));
}

/* true: it has ended, by itself or killed. */
static bool reap(struct soak_peer *peer, int flags)
{
	int status;
	pid_t ended = waitpid(peer->pid, &status, flags);

	if (ended != peer->pid)
		return false;
	if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0) &&
	    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) {
		fprintf(stderr, "a %s of '%s' (%d) ended with 0x%x\n",
		        peer->publishes ? "publisher" : "subscriber", soak_topic(peer->topic),
		        peer->pid, status);
		failures++;
	}
	atomic_fetch_add(peer->publishes ? &soak->sent : &soak->received,
	                 atomic_load(&peer->count));
	atomic_store(&peer->count, 0);
	peer->pid = 0;
	return true;
}

static unsigned int peer_count(void)
{
	return (unsigned int)(options.publishers + options.subscribers);
}

static uint64_t count_of(bool publishers)
{
	uint64_t count = atomic_load(publishers ? &soak->sent : &soak->received);

	for (unsigned int i = 0; i < peer_count(); i++)
		if (soak->peers[i].publishes == publishers)
			count += atomic_load(&soak->peers[i].count);
	return count;
}

/* --- looking from outside --- */

static bool sleeps(pid_t pid)
{
	char path[64], line[512];
	const char *end = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (file && fgets(line, sizeof(line), file))
		end = strrchr(line, ')');
	if (file)
		fclose(file);
	return end && end[2] == 'S';
}

bool soak_has_all(const struct soak_peer *peer, unsigned int lane)
{
	uint64_t sent = atomic_load(&soak->lanes[peer->topic][lane].sent);
	uint64_t next = atomic_load(&peer->next[lane]), base = atomic_load(&peer->base[lane]);

	if (next != SOAK_NONE)
		return next >= sent;
	/* What one was sending when it was killed may have been there, and was not counted. */
	return sent <= (base == SOAK_NONE ? 0 : base + SOAK_BATCH);
}

static bool has_everything(const struct soak_peer *peer)
{
	for (unsigned int i = 0; i < SOAK_LANES; i++)
		if (!soak_has_all(peer, i))
			return false;
	return true;
}

/* Is there somebody whom a publisher of this topic may be waiting for? */
static bool is_read_by_all(unsigned int topic)
{
	for (unsigned int i = 0; i < peer_count(); i++) {
		const struct soak_peer *peer = &soak->peers[i];

		if (peer->pid && !peer->publishes && peer->topic == topic &&
		    (atomic_load(&peer->pauses) || !has_everything(peer)))
			return false;
	}
	return true;
}

static void look_at(struct soak_peer *peer)
{
	uint64_t count = atomic_load(&peer->count);
	int64_t now = now_ns();

	if (count != peer->last_count || atomic_load(&peer->pauses) || !sleeps(peer->pid) ||
	    (peer->publishes ? !is_read_by_all(peer->topic) : has_everything(peer))) {
		peer->last_count = count;
		peer->still_since_ns = now;
		return;
	}
	if (now - peer->still_since_ns < MOST_STILL_NS)
		return;
	fprintf(stderr, "lost wake-up: a %s of '%s' (%d) sleeps since %.1f s, at %lu\n",
	        peer->publishes ? "publisher" : "subscriber", soak_topic(peer->topic), peer->pid,
	        (double)(now - peer->still_since_ns) / 1e9, (unsigned long)count);
	failures++;
}

/* --- conducting --- */

static void conduct(void)
{
	for (unsigned int i = 0; i < peer_count(); i++) {
		struct soak_peer *peer = &soak->peers[i];

		if (peer->pid == 0)
			start_peer(peer);
		else if (!reap(peer, WNOHANG))
			look_at(peer);
	}
}

static void kill_somebody(void)
{
	struct soak_peer *peer = &soak->peers[random_below(peer_count())];

	if (peer->pid && kill(peer->pid, SIGKILL) == 0)
		kills++;
}

static void print_progress(int64_t began_ns)
{
	printf("# %6.0f s: %lu sent, %lu received and right, %lu kills, %lu joins\n",
	       (double)(now_ns() - began_ns) / 1e9, (unsigned long)count_of(true),
	       (unsigned long)count_of(false), (unsigned long)kills, (unsigned long)joins);
	fflush(stdout);
}

/* It came when there was nothing for it any more, and waits for somebody to begin. */
static bool has_nothing_to_end(const struct soak_peer *peer)
{
	for (unsigned int i = 0; i < SOAK_LANES; i++)
		if (atomic_load(&peer->next[i]) != SOAK_NONE)
			return false;
	return !peer->publishes && !atomic_load(&peer->pauses) && has_everything(peer);
}

/* Publishers close; then every subscriber has everything, and is told of the end. */
static void finish(void)
{
	int64_t deadline = now_ns() + 20 * SECOND;

	atomic_store(&soak->stop, true);
	for (unsigned int left = 1; left > 0 && failures == 0;) {
		left = 0;
		for (unsigned int i = 0; i < peer_count(); i++) {
			struct soak_peer *peer = &soak->peers[i];

			left += peer->pid != 0 && !reap(peer, WNOHANG) && !has_nothing_to_end(peer);
		}
		if (left && now_ns() > deadline) {
			fprintf(stderr, "%u processes do not come to an end\n", left);
			failures++;
		}
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	for (unsigned int i = 0; i < peer_count(); i++)
		if (soak->peers[i].pid) {
			kill(soak->peers[i].pid, SIGKILL);
			reap(&soak->peers[i], 0);
		}
}

static void print_sums(void)
{
	unsigned int lanes = 0;

	for (unsigned int i = 0; i < SOAK_LANES * SOAK_TOPICS; i++)
		lanes += atomic_load(&soak->lanes[i / SOAK_LANES][i % SOAK_LANES].id) != 0;
	printf("# sent %lu (%lu beside the ring), received and right %lu, missed and told %lu "
	       "(%lu accounts)\n",
	       (unsigned long)soak->sent, (unsigned long)soak->large, (unsigned long)soak->received,
	       (unsigned long)soak->missed, (unsigned long)soak->checked_ends);
	printf("# sent, and waited until all had it: %lu times\n", (unsigned long)soak->careful);
	printf("# kills %lu, joins %lu, lanes %u, sleeps %lu, wakes %lu, waits for room %lu\n",
	       (unsigned long)kills, (unsigned long)joins, lanes, (unsigned long)soak->sleeps,
	       (unsigned long)soak->wakes, (unsigned long)soak->waits);
	printf("# reliable subscribers that were overtaken where they began: %lu\n",
	       (unsigned long)soak->late);
	printf("# wrong, lost wake-ups, hangs: %u\n", failures);
	fflush(stdout);
}

static void prepare(void)
{
	struct ayre_topic_options topic = {.size = sizeof(topic), .ring_bytes = SOAK_RING_BYTES};

	soak = share_memory(sizeof(*soak));
	kills = joins = failures = 0;
	for (unsigned int i = 0; i < SOAK_TOPICS; i++) {
		topic.flags = i == SOAK_LOSSY ? AYRE_TOPIC_LOSSY : 0;
		require(ayre_topic_create(&topic, soak_topic(i), NULL) == 1);
	}
	for (unsigned int i = 0; i < peer_count(); i++) {
		soak->peers[i].publishes = i < options.publishers;
		/* One publisher, and two subscribers. */
		soak->peers[i].is_careful =
			i == 0 || i == options.publishers || i == options.publishers + 1;
	}
	random_seed((uint32_t)options.seed);
}

int soak_run(const struct soak_options *wanted)
{
	int64_t began = now_ns(), next_kill = began, next_line = began, next_clear = began;

	options = *wanted;
	prepare();
	while (failures == 0 && count_of(false) < options.messages &&
	       (uint64_t)(now_ns() - began) / SECOND < options.seconds) {
		conduct();
		if (options.kills_a_second && now_ns() >= next_kill) {
			kill_somebody();
			next_kill = now_ns() +
			            2 * random_below((uint32_t)(SECOND / options.kills_a_second));
		}
		if (now_ns() >= next_clear) {
			(void)!ayre_topic_clear(NULL, NULL);
			next_clear = now_ns() + SECOND / 2;
		}
		if (options.progress && now_ns() >= next_line) {
			print_progress(began);
			next_line = now_ns() + 10 * SECOND;
		}
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	}
	finish();
	print_progress(began);
	print_sums();
	for (unsigned int i = 0; i < SOAK_TOPICS; i++)
		if (ayre_topic_remove(soak_topic(i), false, NULL) < 0)
			failures++;
	unshare_memory(soak, sizeof(*soak));
	return (int)failures;
}

/* --- the short form --- */

TOPIC_TEST(nothing_is_lost_or_wrong)
{
	struct soak_options short_form = SOAK_DEFAULTS;

	short_form.seconds = long_form() ? 600 : 12;
	short_form.seed = (uint32_t)now_ns();
	printf("# seed: %lu\n", (unsigned long)short_form.seed);
	return soak_run(&short_form) != 0;
}

/* --- the long one --- */

static bool set_option(struct soak_options *wanted, const char *name, const char *value)
{
	const struct {
		const char *name;
		uint64_t *value;
	} names[] = {
		{"--messages", &wanted->messages},       {"--seconds", &wanted->seconds},
		{"--publishers", &wanted->publishers},   {"--kills", &wanted->kills_a_second},
		{"--subscribers", &wanted->subscribers}, {"--seed", &wanted->seed},
	};
	char *end;

	for (size_t i = 0; value && i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i].name) == 0) {
			*names[i].value = strtoull(value, &end, 10);
			return *value && !*end;
		}
	return false;
}

static int run_long(char **arguments)
{
	struct soak_options wanted = SOAK_DEFAULTS;
	bool right = true;
	int result;

	for (; *arguments && right; arguments += right ? 2 : 0)
		right = set_option(&wanted, arguments[0], arguments[1]);
	if (!right || wanted.publishers + wanted.subscribers > SOAK_PEERS ||
	    wanted.publishers == 0 || wanted.subscribers == 0 || wanted.kills_a_second > 1000) {
		fprintf(stderr, "usage: soak [--messages N] [--seconds N] [--publishers N] "
		                "[--subscribers N] [--kills A-SECOND] [--seed N]\n");
		return 2;
	}
	wanted.progress = true;
	make_topic_root();
	result = soak_run(&wanted);
	sweep();
	remove_topic_root();
	return result != 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		counted_test(nothing_is_lost_or_wrong),
	};

	use_topic_root();
	return argc > 1 ? run_long(argv + 1) : run_counted("soak", tests);
}
