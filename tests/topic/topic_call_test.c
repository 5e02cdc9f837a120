/*
 * What waiting and not waiting cost: no system call while nobody sleeps, counted under ptrace; no
 * processor time while everybody does; deadlines that are kept.
 */
#include "topic/topic_world.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "support/trace.h"

#define NAME     "calls"
#define MESSAGES 10000u

/* --- no system call --- */

struct traffic {
	atomic_uint ready, sent;
	bool by_turns; /* each message is answered before the next */
};

static struct traffic *traffic;

/* Between two of these the calls are counted. No call of the library's. */
static void mark(void)
{
	syscall(SYS_getppid);
}

static void begin_traced(void)
{
	require(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	raise(SIGSTOP);
}

/* Without asking the kernel. */
static void spin_until(atomic_uint *word, unsigned int value)
{
	while (atomic_load(word) < value)
		continue;
}

static int send_traced(void *context)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(1 << 20)), NAME);
	struct ayre_subscriber *answers =
		subscribe(SUBSCRIBER(RING(1 << 20), .spin_ns = AYRE_SPIN_FOREVER), NAME "-back");

	(void)context;
	begin_traced();
	announce_one_more(&traffic->ready);
	await(&traffic->ready, 2);
	require(ayre_publisher_wait_subscribers(publisher, 1, in_ms(10000)) == 1);
	/* The first messages are about who is there. */
	for (uint64_t i = 0; i < 200; i++) {
		send_number(publisher, i);
		require(receive_number(answers) == i);
	}
	mark();
	for (uint64_t i = 0; i < MESSAGES; i++) {
		send_number(publisher, i);
		if (traffic->by_turns)
			require(receive_number(answers) == i);
	}
	mark();
	atomic_store(&traffic->sent, 1);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(answers);
	return 0;
}

static int receive_traced(void *context)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(1 << 20), .spin_ns = AYRE_SPIN_FOREVER), NAME);
	struct ayre_publisher *answers = publish(PUBLISHER(RING(1 << 20)), NAME "-back");

	(void)context;
	begin_traced();
	announce_one_more(&traffic->ready);
	await(&traffic->ready, 2);
	require(ayre_publisher_wait_subscribers(answers, 1, in_ms(10000)) == 1);
	for (uint64_t i = 0; i < 200; i++) {
		require(receive_number(subscriber) == i);
		send_number(answers, i);
	}
	if (!traffic->by_turns)
		spin_until(&traffic->sent, 1);
	mark();
	for (uint64_t i = 0; i < MESSAGES; i++) {
		require(receive_number(subscriber) == i);
		if (traffic->by_turns)
			send_number(answers, i);
	}
	mark();
	ayre_publisher_close(answers);
	ayre_subscriber_close(subscriber);
	return 0;
}

/* Traces two children at once, and counts for each the calls between its marks. */
struct tracee {
	pid_t pid;
	unsigned int marks, calls;
	unsigned int looks; /* of these: whether a descriptor is ready, without waiting */
	int status;
};

/* Two words of zero: no time at all. */
static bool waits_for_nothing(pid_t pid, uint64_t timeout)
{
	for (uint64_t i = 0; timeout && i < sizeof(struct timespec); i += sizeof(long))
		if (ptrace(PTRACE_PEEKDATA, pid, (void *)(timeout + i), NULL) != 0)
			return false;
	return timeout != 0;
}

static void at_edge(struct tracee *tracee)
{
	struct edge edge;

	read_edge(tracee->pid, &edge);
	if (!edge.entry)
		return;
	if (edge.number == SYS_getppid) {
		tracee->marks++;
	} else if (tracee->marks == 1) {
		tracee->calls++;
		tracee->looks += edge.number == SYS_epoll_pwait2 &&
		                 waits_for_nothing(tracee->pid, edge.arguments[3]);
	}
}

static void trace_both(struct tracee tracees[2])
{
	unsigned int left = 2;

	while (left > 0) {
		siginfo_t news;
		struct tracee *tracee;
		int status, delivered = 0;
		pid_t pid;

		/* Only seen here: end_of() waits for it. */
		require(waitid(P_ALL, 0, &news, WEXITED | WSTOPPED | WNOWAIT) == 0);
		pid = news.si_pid;
		tracee = pid == tracees[0].pid ? &tracees[0] : &tracees[1];
		require(pid == tracee->pid);
		status = end_of(pid);
		if (!WIFSTOPPED(status)) {
			tracee->status = status;
			left--;
			continue;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			at_edge(tracee);
		else if (WSTOPSIG(status) == SIGSTOP)
			require(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD) == 0);
		else
			delivered = WSTOPSIG(status);
		require(ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)delivered) == 0);
	}
}

static void count_calls(bool by_turns, struct tracee tracees[2])
{
	traffic = share_memory(sizeof(*traffic));
	*traffic = (struct traffic){.by_turns = by_turns};
	/* Both ends of both topics have to be there before the first asks for them. */
	tracees[0] = (struct tracee){.pid = start_child(send_traced, NULL)};
	tracees[1] = (struct tracee){.pid = start_child(receive_traced, NULL)};
	trace_both(tracees);
	require(tracees[0].status == 0 && tracees[1].status == 0);
	require(tracees[0].marks == 2 && tracees[1].marks == 2);
	print_message("# %u messages%s: %u system calls by the sender, %u by the receiver\n",
	              MESSAGES, by_turns ? " by turns" : "", tracees[0].calls, tracees[1].calls);
	unshare_memory(traffic, sizeof(*traffic));
	remove_topic(NAME);
	remove_topic(NAME "-back");
}

TOPIC_TEST(no_system_call_to_send_or_receive)
{
	struct tracee tracees[2];

	count_calls(false, tracees);
	require(tracees[0].calls == 0 && tracees[1].calls == 0);
	return 0;
}

/*
 * Who spins for long without finding anything, because the other one does not run, looks for newcomers
 * now and then. There is nothing else.
 */
TOPIC_TEST(no_system_call_between_two_who_are_awake)
{
	struct tracee tracees[2];

	count_calls(true, tracees);
	for (int i = 0; i < 2; i++)
		require(tracees[i].calls == tracees[i].looks);
	return 0;
}

/* --- no processor time --- */

struct idle {
	atomic_uint ready;
	int64_t processor_ns;
	long switches;
};

static int64_t processor_ns(const struct rusage *usage)
{
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * SECOND +
	       (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000;
}

/* Around a call that blocks all the time. */
static void measure(struct idle *idle, ssize_t (*call)(void *end), void *end, ssize_t result)
{
	struct rusage before, after;

	announce(&idle->ready, 1);
	require(getrusage(RUSAGE_SELF, &before) == 0);
	require(call(end) == result);
	require(getrusage(RUSAGE_SELF, &after) == 0);
	idle->processor_ns = processor_ns(&after) - processor_ns(&before);
	idle->switches = after.ru_nvcsw - before.ru_nvcsw;
}

static ssize_t receive_for_a_while(void *end)
{
	return ayre_subscriber_receive_until(end, NULL, 0, NULL, in_ms(300));
}

static ssize_t send_for_a_while(void *end)
{
	return ayre_publisher_send_until(end, "x", 1, in_ms(300));
}

static ssize_t wait_for_subscribers(void *end)
{
	return ayre_publisher_wait_subscribers(end, 9, in_ms(300));
}

static ssize_t wait_for_several(void *end)
{
	struct ayre_subscriber *const subscribers[] = {end};

	return ayre_subscribers_wait(subscribers, 1, in_ms(300));
}

static int be_idle_in(void *context, ssize_t (*call)(void *end), bool publishes, bool fill)
{
	struct idle *idle = context;

	if (publishes) {
		struct ayre_publisher *publisher = publish(NULL, NAME);

		if (fill)
			fill_ring(publisher);
		measure(idle, call, publisher, -ETIMEDOUT);
		ayre_publisher_close(publisher);
	} else {
		struct ayre_subscriber *subscriber = subscribe(NULL, NAME "-quiet");

		measure(idle, call, subscriber, -ETIMEDOUT);
		ayre_subscriber_close(subscriber);
	}
	return 0;
}

static int receive_idly(void *context)
{
	return be_idle_in(context, receive_for_a_while, false, false);
}

static int send_idly(void *context)
{
	return be_idle_in(context, send_for_a_while, true, true);
}

static int wait_idly(void *context)
{
	return be_idle_in(context, wait_for_subscribers, true, false);
}

static int wait_for_several_idly(void *context)
{
	return be_idle_in(context, wait_for_several, false, false);
}

TOPIC_TEST(who_waits_uses_no_processor)
{
	static int (*const ways[])(void *context) = {receive_idly, send_idly, wait_idly,
	                                             wait_for_several_idly};
	enum { WAYS = sizeof(ways) / sizeof(*ways) };
	struct idle *idle = share_memory(WAYS * sizeof(*idle));
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME "-quiet");
	pid_t children[WAYS];

	for (size_t i = 0; i < WAYS; i++)
		children[i] = start_child(ways[i], &idle[i]);
	for (size_t i = 0; i < WAYS; i++) {
		require(end_of(children[i]) == 0);
		print_message("# way %zu: %lld us of processor time, %ld sleeps in 300 ms\n", i,
		              (long long)idle[i].processor_ns / 1000, idle[i].switches);
		/* The spin before, and the way into the kernel and out of it. */
		require(idle[i].processor_ns < 5 * MILLISECOND);
		/* Others came and went meanwhile, and it hears of each. */
		require(idle[i].switches <= 20);
	}
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	unshare_memory(idle, WAYS * sizeof(*idle));
	remove_topic(NAME);
	remove_topic(NAME "-quiet");
	return 0;
}

/* --- spinning --- */

/* Whether it slept, and for how long it was away, when nothing comes for 5 ms. */
static uint64_t sleeps_with(int64_t spin_ns)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(4096), .spin_ns = spin_ns), NAME);
	uint64_t sleeps;

	require(ayre_subscriber_receive_until(subscriber, NULL, 0, NULL, in_ms(5)) == -ETIMEDOUT);
	sleeps = info_of_subscriber(subscriber).sleeps;
	ayre_subscriber_close(subscriber);
	return sleeps;
}

TOPIC_TEST(how_long_to_spin_is_as_asked)
{
	require(sleeps_with(AYRE_SPIN_NONE) > 0);
	require(sleeps_with(AYRE_SPIN_ADAPT) > 0);
	require(sleeps_with(1000) > 0);
	require(sleeps_with(1000 * MILLISECOND) == 0);
	require(sleeps_with(AYRE_SPIN_FOREVER) == 0);
	remove_topic(NAME);
	return 0;
}

/* --- deadlines --- */

/* Never early; and the best of several not late, because the machine may be busy. */
static void check_deadlines(const char *what, ssize_t (*call)(void *end, int64_t deadline_ns),
                            void *end, int64_t wait_ns)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < 100 && (i < 3 || best >= MILLISECOND); i++) {
		int64_t deadline = now_ns() + wait_ns, late;

		require(call(end, deadline) == -ETIMEDOUT);
		late = now_ns() - deadline;
		require(late >= 0);
		best = late < best ? late : best;
	}
	print_message("# %s, deadline in %lld us: %lld us late\n", what, (long long)wait_ns / 1000,
	              (long long)best / 1000);
	require(best < MILLISECOND);
}

static ssize_t receive_until(void *end, int64_t deadline_ns)
{
	return ayre_subscriber_receive_until(end, NULL, 0, NULL, deadline_ns);
}

static ssize_t send_until(void *end, int64_t deadline_ns)
{
	return ayre_publisher_send_until(end, "x", 1, deadline_ns);
}

static void check_both(const char *what, int64_t spin_ns, int64_t wait_ns)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(4096), .spin_ns = spin_ns), NAME);
	struct ayre_publisher *publisher = publish(PUBLISHER(.spin_ns = spin_ns), NAME);
	uint64_t count = fill_ring(publisher);

	check_deadlines(what, send_until, publisher, wait_ns);
	while (count-- > 0)
		receive_number(subscriber);
	check_deadlines(what, receive_until, subscriber, wait_ns);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
}

TOPIC_TEST(deadlines_are_kept)
{
	check_both("without spinning", AYRE_SPIN_NONE, 300000);
	check_both("without spinning", AYRE_SPIN_NONE, 20 * MILLISECOND);
	check_both("spinning a little", AYRE_SPIN_ADAPT, 1500000);
	check_both("spinning", AYRE_SPIN_FOREVER, 3 * MILLISECOND);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(no_system_call_to_send_or_receive),
		counted_test(no_system_call_between_two_who_are_awake),
		counted_test(who_waits_uses_no_processor),
		counted_test(how_long_to_spin_is_as_asked),
		counted_test(deadlines_are_kept),
	};

	use_topic_root();
	return run_counted("what waiting costs", tests);
}
