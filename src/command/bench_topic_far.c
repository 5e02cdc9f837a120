/*
 * One side of a way: its memory, its opening and closing; and the far process, which does as it is told.
 *
 * Invariant: a far process ends when the near one does, however that ends; and if a far one ends too early, the
 * near one is not left waiting for it.
 */
#include "command/bench_topic_pair.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "command/bench_pattern.h"

int64_t bench_topic_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int bench_topic_far_cpu(const struct bench_machine *machine)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &machine->allowed) && cpu != machine->cpu)
			return cpu;
	return -1;
}

int bench_topic_bind(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) == -1 ? -errno : 0;
}

/* So often has this process lost its processor while it could have gone on. */
int64_t bench_topic_count_switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_nivcsw;
}

/* --- a far process that dies --- */

volatile sig_atomic_t bench_topic_has_ended;

/* Interrupts whoever waits in the kernel for what will not come, also who is just about to. */
static void interrupt(int number)
{
	(void)number;
	bench_topic_has_ended = 1;
	alarm(1);
}

void bench_topic_watch_children(bool watched)
{
	struct sigaction action = {.sa_handler = watched ? interrupt : SIG_DFL};

	sigaction(SIGCHLD, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	bench_topic_has_ended = 0;
	alarm(0);
}

/* --- an end --- */

static int fill_end(struct topic_end *end)
{
	uint64_t words = end->message_bytes / sizeof(uint64_t);

	end->message = aligned_alloc(64, (TOPIC_BATCH * end->message_bytes + 63) & ~(uint64_t)63);
	end->buffer = aligned_alloc(64, (end->message_bytes + 63) & ~(uint64_t)63);
	if (!end->message || !end->buffer)
		return -ENOMEM;
	for (unsigned int i = 0; i < TOPIC_BATCH; i++)
		pattern_fill(end->message + i * words, end->message_bytes, 0, 1);
	end->rest = topic_sum(end->message, end->message_bytes) - end->message[0];
	memset(end->buffer, 0, end->message_bytes);
	return 0;
}

int bench_topic_open_end(struct topic_end *end)
{
	int result = 0;

	if (end->is_open)
		return 0;
	result = fill_end(end);
	if (result == 0 && end->way->open)
		result = end->way->open(end);
	end->is_open = result == 0;
	return result;
}

void bench_topic_close_end(struct topic_end *end)
{
	if (end->way && end->way->close)
		end->way->close(end);
	free(end->message);
	free(end->buffer);
}

/* --- the far process --- */

static int answer(int answers, int code, int64_t switches)
{
	struct topic_answer answer = {.code = code, .switches = switches};

	return write(answers, &answer, sizeof(answer)) == sizeof(answer) ? code : -EPIPE;
}

static int obey(struct topic_contest *contest, const struct topic_order *order, int answers,
                uint64_t sample)
{
	struct topic_end *end = &contest->far[order->row];
	int code = bench_topic_open_end(end);
	int64_t before;

	if (code == 0 && end->way->ready)
		code = end->way->ready(end);
	if (answer(answers, code, 0) < 0)
		return code < 0 ? code : -EPIPE;
	while (__atomic_load_n(&contest->memory->go, __ATOMIC_ACQUIRE) < sample)
		sched_yield();
	before = bench_topic_count_switches();
	code = end->way->far(end, order->count);
	before = bench_topic_count_switches() - before;
	if (end->way->rest)
		end->way->rest(end);
	return answer(answers, code, before);
}

/* Until the near process closes its end of the orders. */
static __attribute__((noreturn)) void be_far(struct topic_contest *contest, unsigned int number,
                                             int orders, int answers)
{
	struct topic_order order;
	uint64_t sample = 0;

	for (size_t row = 0; row < contest->plan->entry_count; row++) {
		contest->far[row].number = number;
		/* Its copies of what the near one has. */
		if (contest->near[row].way->make)
			bench_topic_close_end(&contest->near[row]);
	}
	while (read(orders, &order, sizeof(order)) == sizeof(order))
		if (obey(contest, &order, answers, ++sample) < 0)
			break;
	for (size_t row = 0; row < contest->plan->entry_count; row++)
		bench_topic_close_end(&contest->far[row]);
	_exit(0);
}

int bench_topic_fork_far(struct topic_contest *contest, unsigned int number, int cpu)
{
	int orders[2], answers[2];
	pid_t parent = getpid(), pid;

	if (pipe(orders) == -1)
		return -errno;
	if (pipe(answers) == -1)
		return -errno;
	pid = fork();
	if (pid == 0) {
		/* It ends with the near one, however that ends. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bench_topic_watch_children(false);
		if (getppid() != parent || bench_topic_bind(cpu) < 0)
			_exit(1);
		for (unsigned int i = 0; i < number; i++)
			close(contest->fars[i].orders);
		close(orders[1]);
		close(answers[0]);
		be_far(contest, number, orders[0], answers[1]);
	}
	close(orders[0]);
	close(answers[1]);
	contest->fars[number] =
		(struct topic_far){.pid = pid, .orders = orders[1], .answers = answers[0]};
	return pid < 0 ? -errno : 0;
}
