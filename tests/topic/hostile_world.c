/*
 * A scene: honest ends are started, hostile ones are started and killed again and again, and all that
 * must hold is watched.
 */
#include "topic/hostile_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>

#define MOST_HOSTILE 4
#define TICK_NS      (5 * MILLISECOND)

/* How long the honest may take to go on once nobody hostile lives, and to have everything. */
#define GO_ON_NS (10 * SECOND)
#define DRAIN_NS (30 * SECOND)

unsigned int wanted_seconds;

struct cast {
	const struct scene *scene;
	pid_t publishers[HONEST_PUBLISHERS], subscribers[HONEST_SUBSCRIBERS];
	pid_t visitor, hostile[MOST_HOSTILE];
	int64_t next_ns[MOST_HOSTILE]; /* when it is killed, or started */
	unsigned int hostile_processes;
	int64_t longest_wait_ns; /* from a hostile death until each honest publisher had sent again */
};

unsigned int scene_seconds(void)
{
	if (wanted_seconds)
		return wanted_seconds;
	return long_form() ? 60 : 2;
}

uint32_t scene_seed(const char *title)
{
	static uint32_t scenes;
	const char *wish = getenv("AYRE_TEST_SEED");
	uint32_t seed = wish ? (uint32_t)strtoul(wish, NULL, 0) : 20261126 + scenes++;

	print_message("# %s: AYRE_TEST_SEED=%u\n", title, seed);
	return seed;
}

/* --- watching --- */

static bool has_ended(pid_t child)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == child;
}

static void watch_due(const struct honest *honest, const char *kind)
{
	int64_t due_ns = atomic_load(&honest->due_ns);

	if (due_ns && now_ns() > due_ns)
		fail_msg("an honest %s does not come back from a call", kind);
}

static void watch_one(pid_t child, const struct honest *honest, const char *kind)
{
	if (has_ended(child))
		fail_msg("an honest %s ended: status 0x%x", kind, (unsigned int)end_of(child));
	watch_due(honest, kind);
}

static void watch(const struct cast *cast)
{
	for (unsigned int i = 0; i < HONEST_PUBLISHERS; i++)
		watch_one(cast->publishers[i], &arena->publishers[i], "publisher");
	for (unsigned int i = 0; i < HONEST_SUBSCRIBERS; i++)
		watch_one(cast->subscribers[i], &arena->subscribers[i], "subscriber");
	watch_one(cast->visitor, &arena->visitor, "visitor");
}

static void watch_until(const struct cast *cast, bool (*done)(void), int64_t limit_ns,
                        const char *what)
{
	int64_t end_ns = now_ns() + limit_ns;

	while (!done()) {
		watch(cast);
		if (now_ns() > end_ns)
			fail_msg("%s", what);
		pause_ns(TICK_NS);
	}
}

static bool all_are_ready(void)
{
	return atomic_load(&arena->ready) == HONEST_PUBLISHERS + HONEST_SUBSCRIBERS + 1;
}

static bool everything_is_taken(void)
{
	for (unsigned int i = 0; i < HONEST_SUBSCRIBERS; i++)
		for (unsigned int j = 0; j < HONEST_PUBLISHERS; j++)
			if (atomic_load(&arena->subscribers[i].taken[j]) !=
			    atomic_load(&arena->publishers[j].sent))
				return false;
	return true;
}

/* --- the hostile --- */

static int64_t some_of(int64_t ns)
{
	return ns / 2 + (int64_t)random_below((uint32_t)(ns / 1000) + 1) * 1000;
}

static bool is_honest(const char *file)
{
	uint64_t id = strtoull(strlen(file) > 4 ? file + 4 : "", NULL, 16);

	if (strcmp(file, "topic") == 0 || strcmp(file, "join") == 0)
		return true;
	for (unsigned int i = 0; i < HONEST_PUBLISHERS; i++)
		if (id == atomic_load(&arena->publishers[i].id))
			return true;
	for (unsigned int i = 0; i < HONEST_SUBSCRIBERS; i++)
		if (id == atomic_load(&arena->subscribers[i].id))
			return true;
	return false;
}

/* What the hostile have left, or looking through the directory would be all that is tested. */
static void clear_away_hostile(void)
{
	char path[NAME_BYTES];
	DIR *directory = opendir(topic_path(ARENA, "", path));
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		if (is_honest(entry->d_name) || entry->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(directory), entry->d_name, 0) == -1)
			unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
	}
	if (directory)
		closedir(directory);
}

static void note_death(struct cast *cast, int64_t died_ns)
{
	uint64_t before[HONEST_PUBLISHERS];
	int64_t waited_ns;

	/* Others may be stalling it. */
	for (unsigned int i = 0; i < cast->scene->hostile_count; i++)
		if (cast->hostile[i])
			return;
	for (unsigned int i = 0; i < HONEST_PUBLISHERS; i++)
		before[i] = atomic_load(&arena->publishers[i].sent);
	for (unsigned int i = 0; i < HONEST_PUBLISHERS; i++)
		while (atomic_load(&arena->publishers[i].sent) == before[i]) {
			watch(cast);
			if (now_ns() > died_ns + GO_ON_NS)
				fail_msg("an honest publisher waits for the dead");
			pause_ns(200000);
		}
	waited_ns = now_ns() - died_ns;
	if (waited_ns > cast->longest_wait_ns)
		cast->longest_wait_ns = waited_ns;
}

static void change_hostile(struct cast *cast, unsigned int index)
{
	if (!cast->hostile[index]) {
		/* Each of them draws from a sequence of its own. */
		arena->hostile_seed += 1000003;
		cast->hostile[index] = start_child(cast->scene->hostile, NULL);
		cast->hostile_processes++;
		cast->next_ns[index] = now_ns() + some_of(cast->scene->life_ns);
		return;
	}
	kill(cast->hostile[index], SIGKILL);
	/* A hostile one that trips over its own doing has done what it could. */
	end_of(cast->hostile[index]);
	cast->hostile[index] = 0;
	cast->next_ns[index] = now_ns() + some_of(cast->scene->pause_ns);
	note_death(cast, now_ns());
	if (random_below(4))
		clear_away_hostile();
}

static void end_hostile(struct cast *cast)
{
	for (unsigned int i = 0; i < cast->scene->hostile_count; i++)
		if (cast->hostile[i])
			change_hostile(cast, i);
}

static void run(struct cast *cast, int64_t length_ns)
{
	int64_t end_ns = now_ns() + length_ns;

	while (now_ns() < end_ns) {
		watch(cast);
		for (unsigned int i = 0; i < cast->scene->hostile_count; i++)
			if (now_ns() >= cast->next_ns[i])
				change_hostile(cast, i);
		pause_ns(TICK_NS);
	}
	end_hostile(cast);
}

/* --- from beginning to end --- */

static void start(struct cast *cast)
{
	for (unsigned int i = 0; i < HONEST_PUBLISHERS; i++)
		cast->publishers[i] = start_child(publish_honestly, (void *)(uintptr_t)i);
	for (unsigned int i = 0; i < HONEST_SUBSCRIBERS; i++)
		cast->subscribers[i] = start_child(subscribe_honestly, (void *)(uintptr_t)i);
	cast->visitor = start_child(come_and_go, NULL);
	watch_until(cast, all_are_ready, DRAIN_NS, "the honest do not open");
	announce(&arena->phase, RUNNING);
}

static void finish(struct cast *cast)
{
	announce(&arena->phase, DRAINING);
	pause_ns(CALL_NS);
	watch_until(cast, everything_is_taken, DRAIN_NS, "messages of the honest are missing");
	announce(&arena->phase, ENDING);
	for (unsigned int i = 0; i < HONEST_PUBLISHERS; i++)
		assert_exited(end_of(cast->publishers[i]));
	for (unsigned int i = 0; i < HONEST_SUBSCRIBERS; i++)
		assert_exited(end_of(cast->subscribers[i]));
	assert_exited(end_of(cast->visitor));
}

static void report(const struct cast *cast)
{
	uint64_t sent = 0, late = 0, others = 0, told = 0;

	for (unsigned int i = 0; i < HONEST_PUBLISHERS; i++) {
		sent += atomic_load(&arena->publishers[i].sent);
		late += atomic_load(&arena->publishers[i].late);
	}
	for (unsigned int i = 0; i < HONEST_SUBSCRIBERS; i++) {
		others += atomic_load(&arena->subscribers[i].others);
		told += atomic_load(&arena->subscribers[i].told);
	}
	print_message("# %s: %lu honest messages, %lu sends that ended at their deadline, "
	              "%lu visits; %u hostile processes with %u files, %lu messages of theirs "
	              "taken, %lu times "
	              "told of them; after a hostile death sent again within %.1f ms\n",
	              cast->scene->title, sent, late, atomic_load(&arena->visitor.sent),
	              cast->hostile_processes, atomic_load(&arena->hostile_lives), others, told,
	              (double)cast->longest_wait_ns / 1e6);
	assert_true(sent > 0);
}

void play(const struct scene *scene, uint32_t seed, int64_t length_ns)
{
	struct cast cast = {.scene = scene};

	arena = share_memory(sizeof(*arena));
	arena->seed = arena->hostile_seed = seed;
	arena->guarded = scene->guarded;
	arena->send_pause_ns = scene->send_pause_ns;
	random_seed(seed);
	assert_int_equal(ayre_topic_create(TOPIC(.ring_bytes = ARENA_RING), ARENA, NULL), 1);
	start(&cast);
	run(&cast, length_ns);
	finish(&cast);
	report(&cast);
	unshare_memory(arena, sizeof(*arena));
	sweep();
}

void play_alone(const char *title, int (*honest)(void *context), void *context, uint32_t seed,
                int64_t length_ns)
{
	int64_t end_ns = now_ns() + length_ns;
	pid_t child;

	arena = share_memory(sizeof(*arena));
	arena->seed = seed;
	child = start_child(honest, context);
	/* To its very end: it can hang in its last call, too. */
	while (!has_ended(child)) {
		if (now_ns() > end_ns)
			atomic_store(&arena->phase, ENDING);
		watch_due(&arena->visitor, title);
		pause_ns(TICK_NS);
	}
	assert_exited(end_of(child));
	assert_true(now_ns() > end_ns);
	print_message(
		"# %s: %u hostile processes, %lu messages sent to them, %lu taken from them\n",
		title, atomic_load(&arena->hostile_lives), atomic_load(&arena->visitor.sent),
		atomic_load(&arena->visitor.others));
	assert_true(atomic_load(&arena->hostile_lives) > 0);
	unshare_memory(arena, sizeof(*arena));
}
