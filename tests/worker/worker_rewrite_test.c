/*
 * Workers that rewrite all the memory that they share with their host, while it runs: it does not crash, is
 * back by its deadlines, believes nothing wrong, and the honest beside them are heard as ever.
 *
 *   worker_rewrite_test [SECONDS [PATTERN]]   seconds for each scene; and which scenes
 *
 * The long form plays them for ten minutes, or until each has had its part of 10^9 stores and more.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "worker/hostile_host.h"

#define LONG_NS        (50000 * MILLISECOND_NS)
#define LONG_MUTATIONS UINT64_C(100000000)

const char *__ubsan_default_options(void);

/* Undefined behaviour ends the process: what goes on after it is not looked at. */
__attribute__((visibility("default"))) const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:print_stacktrace=1";
}

static unsigned int wanted_seconds;

struct scene {
	const char *title;
	void (*play)(const struct scene *scene);
	struct ayre_worker_options options;
	unsigned int milliseconds; /* of the short form */
	uint32_t way;
	size_t capacity;
	int64_t within_ns;    /* the longest deadline; 0: CALL_NS */
	unsigned int freezes; /* 0: until the time is up */
	bool is_ordinary;
	/* Of the run. */
	struct hostile_tally *tally;
	int64_t end_ns;
};

static bool goes_on(const struct scene *scene)
{
	if (now_ns() >= scene->end_ns)
		return false;
	return !long_form() || scene->tally->mutations < LONG_MUTATIONS;
}

/* --- what is played --- */

static void call_on(const struct scene *scene)
{
	bool keeps = scene->options.flags & AYRE_WORKER_KEEP;
	uint32_t within_ns = (uint32_t)(scene->within_ns ? scene->within_ns : CALL_NS);
	struct host host;

	host_open(&host, &scene->options, scene->capacity, scene->tally);
	while (goes_on(scene)) {
		host_call(&host, scene->way,
		          1 + random_below(random_below(2) ? within_ns : (uint32_t)CALL_NS));
		/* Whoever is kept may be in the middle of it, and answers that. */
		if (!keeps && random_below(4) == 0)
			host_call_honest(&host);
		if (!keeps && random_below(4) == 0)
			host_find_nothing(&host);
	}
	host_close(&host);
}

/* From outside: whoever it is, that serves or stands by. */
static void stop_one(void)
{
	pid_t worker = first_child_of(zygote_of(getpid()));

	if (worker > 0)
		kill(worker, SIGSTOP);
}

static struct pending *any_in(struct host *host, enum pending_state state)
{
	unsigned int first = random_below(PENDING_MAX);

	for (unsigned int i = 0; i < PENDING_MAX; i++) {
		struct pending *pending = &host->pending[(first + i) % PENDING_MAX];

		if (pending->state == state)
			return pending;
	}
	return NULL;
}

static void collect_one(struct host *host)
{
	int64_t until_ns = random_below(3) ? now_ns() + random_below(4 * MILLISECOND_NS) : 0;
	struct ayre_worker_answer answer;
	struct pending *pending = host_collect(host, until_ns, &answer);

	if (!pending)
		return;
	if (answer.data && random_below(2))
		host_freeze(host, &answer);
	if (random_below(3))
		host_release(host, pending);
}

static void act(struct host *host, const struct scene *scene)
{
	bool keeps = scene->options.flags & AYRE_WORKER_KEEP;
	struct pending *pending;

	switch (random_below(12)) {
	case 0:
	case 1:
	case 2:
		(void)!host_submit(host, scene->way, 1 + random_below(CALL_NS));
		break;
	case 3:
	case 4:
		if (!keeps)
			(void)!host_submit_honest(host);
		break;
	case 5:
		pending = any_in(host, PENDING_COLLECTED);
		if (pending)
			host_release(host, pending);
		break;
	case 6:
		pending = any_in(host, PENDING_UNDER_WAY);
		if (pending && random_below(4) == 0)
			host_cancel(host, pending);
		break;
	case 7:
		host_poll(host);
		break;
	default:
		collect_one(host);
		break;
	}
}

/* And beside it one whose worker nobody attacks. */
static void submit_on(const struct scene *scene)
{
	bool keeps = scene->options.flags & AYRE_WORKER_KEEP;
	struct host host, sibling;

	host_open(&host, &scene->options, scene->capacity, scene->tally);
	host_open(&sibling,
	          WORKER(.reply_max = CAPACITY, .flags = scene->options.flags, NO_CONTINUING),
	          CAPACITY, scene->tally);
	while (goes_on(scene)) {
		act(&host, scene);
		if (random_below(16) == 0)
			host_call_honest(&sibling);
		if (keeps && random_below(32) == 0)
			stop_one();
	}
	host_close(&sibling);
	host_close(&host);
}

/* The collector's deadline is not the call's. */
static void be_rung_at(const struct scene *scene)
{
	struct host host;

	host_open(&host, &scene->options, scene->capacity, scene->tally);
	while (goes_on(scene)) {
		struct ayre_worker_answer answer;
		struct pending *pending = host_submit(&host, scene->way, CALL_NS);

		require(pending || !host_collect(&host, now_ns() + CALL_NS, &answer));
		if (!pending)
			continue;
		pending = host_collect(&host, now_ns() + MILLISECOND_NS, &answer);
		if (!pending)
			pending = host_collect(&host, now_ns() + HONEST_NS, &answer);
		require(pending && answer.outcome == -ETIMEDOUT);
		host_release(&host, pending);
		require(host_call(&host, scene->way, MILLISECOND_NS) == -ETIMEDOUT);
	}
	host_close(&host);
}

/* Whoever answers does not stop; once frozen it does. */
static void freeze_on(const struct scene *scene)
{
	struct host host;

	host_open(&host, &scene->options, scene->capacity, scene->tally);
	while (scene->tally->freezes < scene->freezes) {
		struct ayre_worker_answer answer;
		struct pending *pending = host_submit(&host, scene->way, HONEST_NS);

		if (!pending) {
			require(!host_collect(&host, now_ns() + MILLISECOND_NS, &answer));
			continue;
		}
		require(host_collect(&host, now_ns() + HONEST_NS, &answer) == pending);
		require(answer.outcome == (int64_t)scene->capacity);
		host_freeze(&host, &answer);
		host_release(&host, pending);
	}
	host_close(&host);
}

/* Whoever has the files cannot make them shorter, or longer, so that a host would find no memory there. */
static void cut_short(const struct scene *scene)
{
	unsigned int files = 0;
	struct host host;

	host_open(&host, &scene->options, scene->capacity, scene->tally);
	for (int fd = 3; fd < 256; fd++) {
		char path[64], name[128];
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, name, sizeof(name) - 1);
		name[length < 0 ? 0 : length] = '\0';
		if (strncmp(name, "/memfd:ayre-re", 14) != 0)
			continue;
		require(ftruncate(fd, 0) == -1 && errno == EPERM);
		require(ftruncate(fd, 1 << 30) == -1 && errno == EPERM);
		require(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM);
		files++;
	}
	require(files == 2 * host.place_count);
	host_call_honest(&host);
	host_close(&host);
}

/* --- the scenes --- */

#define FRESH(...) \
	.options = {.size = sizeof(struct ayre_worker_options), NO_CONTINUING, __VA_ARGS__}
#define KEPT(...) FRESH(.flags = AYRE_WORKER_KEEP, __VA_ARGS__)

/* clang-format off */
static const struct scene scenes[] = {
	{"calls, each to a new process", call_on,
	 FRESH(.reply_max = 2 * CAPACITY),
	 .milliseconds = 700, .way = HOSTILE_ANY, .capacity = CAPACITY},
	{"calls to processes that are kept, spinning", call_on,
	 KEPT(.reply_max = 2 * CAPACITY, .spin_ns = 20000),
	 .milliseconds = 500, .way = HOSTILE_ANY, .capacity = CAPACITY, .is_ordinary = true},
	{"calls to processes that are kept, sleeping", call_on,
	 KEPT(.reply_max = 2 * CAPACITY, .spin_ns = AYRE_SPIN_NONE),
	 .milliseconds = 500, .way = HOSTILE_ANY, .capacity = CAPACITY},
	{"calls under way, each in a new process", submit_on,
	 FRESH(.reply_max = 2 * CAPACITY, .processes = 3),
	 .milliseconds = 900, .way = HOSTILE_ANY, .capacity = CAPACITY, .is_ordinary = true},
	{"calls under way in processes that are kept", submit_on,
	 KEPT(.reply_max = 2 * CAPACITY, .processes = 3),
	 .milliseconds = 700, .way = HOSTILE_ANY, .capacity = CAPACITY},
	{"a length that is swapped", call_on,
	 KEPT(.reply_max = 2 * CAPACITY, .spin_ns = 50000),
	 .milliseconds = 1000, .way = HOSTILE_SWAP, .capacity = 64},
	{"a large reply that is filled", call_on,
	 FRESH(.reply_max = 16 << 20),
	 .milliseconds = 900, .way = HOSTILE_FILL, .capacity = CAPACITY,
	 .within_ns = FILL_NS, .is_ordinary = true},
	{"last words of who lives", call_on,
	 FRESH(.reply_max = 2 * CAPACITY),
	 .milliseconds = 300, .way = HOSTILE_CRASHES, .capacity = CAPACITY, .is_ordinary = true},
	{"bells without end", be_rung_at,
	 FRESH(.reply_max = 2 * CAPACITY),
	 .milliseconds = 300, .way = HOSTILE_BELLS, .capacity = CAPACITY},
	{"replies that are frozen", freeze_on,
	 KEPT(.reply_max = 16384),
	 .way = HOSTILE_BYTES, .capacity = 16384, .freezes = 2000},
	{"replies that are frozen, each of a new process", freeze_on,
	 FRESH(.reply_max = 16384),
	 .way = HOSTILE_BYTES, .capacity = 16384, .freezes = 200, .is_ordinary = true},
	{"files that are to be cut short", cut_short,
	 FRESH(.reply_max = 2 * CAPACITY),
	 .capacity = CAPACITY},
};
/* clang-format on */

static uint32_t scene_seed(const struct scene *scene)
{
	const char *wish = getenv("AYRE_TEST_SEED");

	return wish ? (uint32_t)strtoul(wish, NULL, 0) : 20261126 + (uint32_t)(scene - scenes);
}

static int run(void *context)
{
	const struct scene *scene = context;

	if (scene->is_ordinary)
		become_ordinary();
	scene->play(scene);
	return 0;
}

/* How late 99 of 100 were at most. */
static double late_ms(const struct hostile_tally *tally)
{
	uint64_t left = tally->late / 100;

	for (unsigned int step = LATE_STEPS; step > 0; step--) {
		if (tally->steps[step] > left)
			return (double)((step + 1) * LATE_STEP_NS) / MILLISECOND_NS;
		left -= tally->steps[step];
	}
	return (double)LATE_STEP_NS / MILLISECOND_NS;
}

static void tell(const char *title, const struct hostile_tally *tally)
{
	print_message("# %s: %.1f million stores, %llu calls (answered %llu, refused %llu, died "
	              "%llu), %llu honest, %llu frozen\n",
	              title, (double)tally->mutations / 1e6, (unsigned long long)tally->calls,
	              (unsigned long long)tally->answered, (unsigned long long)tally->refused,
	              (unsigned long long)tally->died, (unsigned long long)tally->honest_calls,
	              (unsigned long long)tally->freezes);
	print_message("# late %llu: 99 %% by %.2f ms at most, worst %.2f ms, %.2f ms with a "
	              "processor to run on; %llu over; frozen in %.2f ms at most\n",
	              (unsigned long long)tally->late, late_ms(tally),
	              (double)tally->worst_ns / MILLISECOND_NS,
	              (double)tally->worst_own_ns / MILLISECOND_NS, (unsigned long long)tally->over,
	              (double)tally->longest_ns / MILLISECOND_NS);
}

/* Until the host has ended; it is back from each call by its deadline and a second. */
static void watch(pid_t child, const struct hostile_tally *tally)
{
	siginfo_t info = {0};

	while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid != child) {
		int64_t due_ns = atomic_load(&tally->due_ns);

		if (due_ns && now_ns() > due_ns + 2 * HARD_NS)
			fail_msg("a host does not come back from a call");
		usleep(2000);
	}
	assert_int_equal(end_of(child), 0);
}

static void play(void **state)
{
	struct scene scene = *(const struct scene *)*state;
	struct hostile_tally *tally = share_memory(sizeof(*tally));
	uint32_t seed = scene_seed(*state);

	set_deadline(60 + wanted_seconds);
	random_seed(seed);
	scene.tally = tally;
	scene.end_ns = now_ns() + (long_form()      ? LONG_NS
	                           : wanted_seconds ? wanted_seconds * 1000 * MILLISECOND_NS
	                                            : scene.milliseconds * MILLISECOND_NS);
	watch(start_child(run, &scene), tally);
	print_message("# AYRE_TEST_SEED=%u\n", seed);
	tell(scene.title, tally);
	unshare_memory(tally, sizeof(*tally));
}

#define SCENES (sizeof(scenes) / sizeof(*scenes))

int main(int count, char **arguments)
{
	struct CMUnitTest tests[SCENES];

	for (size_t i = 0; i < SCENES; i++)
		tests[i] = (struct CMUnitTest)test_of(play, scenes[i].title, &scenes[i]);
	wanted_seconds = count > 1 ? (unsigned int)strtoul(arguments[1], NULL, 10) : 0;
	if (count > 2)
		cmocka_set_test_filter(arguments[2]);
	return run_counted("worker_rewrite", tests);
}
