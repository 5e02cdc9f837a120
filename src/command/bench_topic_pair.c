/*
 * The two processes of `ayre bench topic`, and a sample of theirs.
 *
 * The far process waits in read(2) for what to do, so that nobody spins while another row is
 * measured. Then both are made ready, and start by a word in shared memory:
 *
 *     near                                   far
 *     command ------------------------------> opens its side, if it is not open
 *     opens its side
 *     <-------------------------------------- ready, or what went wrong
 *     begin; go ----------------------------> its side of the messages
 *     its side of the messages; end
 *     <-------------------------------------- done, or what went wrong
 *
 * Invariant: no handle of ayre is open while a process is forked: each belongs to one.
 */
#include "command/bench_topic_pair.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/bench_place.h"
#include "command/command.h"
#include "command/output.h"

/* A sample is taken again if another program came between, but not for ever. */
#define TRIES 3

/* --- a sample --- */

static int tell(struct topic_contest *contest, const struct topic_order *order)
{
	for (unsigned int i = 0; i < contest->far_count; i++)
		if (write(contest->fars[i].orders, order, sizeof(*order)) != sizeof(*order))
			return -EPIPE;
	return 0;
}

/* What each of them answers: the first that is no 0. */
static int hear(struct topic_contest *contest)
{
	int result = 0;

	for (unsigned int i = 0; i < contest->far_count; i++) {
		struct topic_answer answer;

		if (read(contest->fars[i].answers, &answer, sizeof(answer)) != sizeof(answer))
			answer = (struct topic_answer){.code = -EOWNERDEAD};
		if (result == 0)
			result = answer.code;
		/* Several share a processor, and give it to each other: the kernel counts that too. */
		if (contest->far_count == 1)
			contest->switches += answer.switches;
	}
	return result;
}

/* The near one waited in vain, because a far one has found something wrong? Then that is the error. */
static int find_cause(const struct topic_contest *contest, int result)
{
	for (unsigned int i = 0; result != -EBADMSG && i < contest->far_count; i++) {
		struct pollfd answers = {.fd = contest->fars[i].answers, .events = POLLIN};
		struct topic_answer answer;

		if (poll(&answers, 1, 1000) != 1)
			continue;
		if (read(answers.fd, &answer, sizeof(answer)) != sizeof(answer))
			return -EOWNERDEAD;
		if (answer.code < 0)
			return answer.code;
	}
	return result;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t find_quantile(int64_t *times, uint64_t count, uint64_t thousandths)
{
	qsort(times, count, sizeof(*times), compare);
	return times[(count - 1) * thousandths / 1000];
}

/* Of the far process its answer tells. */
static int64_t count_switches(const struct topic_end *near)
{
	int64_t others = near->way->switches ? near->way->switches(near) : 0;

	return bench_topic_count_switches() + others;
}

/* Both sides, once. With a sample, that is what it measures. */
static int run_once(struct topic_contest *contest, struct topic_end *near, uint64_t count,
                    struct bench_sample *sample)
{
	struct topic_order order = {.row = near->row, .count = count};
	bool is_alone = !near->way->far;
	int result = is_alone ? 0 : tell(contest, &order);

	if (result == 0)
		result = bench_topic_open_end(near);
	if (result == 0 && near->way->ready)
		result = near->way->ready(near);
	if (result == 0 && !is_alone)
		result = hear(contest);
	if (result < 0)
		return result;
	contest->switches = -count_switches(near);
	if (sample)
		bench_begin(sample);
	if (!is_alone)
		__atomic_store_n(&contest->memory->go, ++contest->samples, __ATOMIC_RELEASE);
	result = near->way->near(near, count);
	if (sample)
		bench_end(sample);
	if (sample && near->pause_ns)
		sample->ns = near->own_ns;
	contest->switches += count_switches(near);
	if (near->way->rest)
		near->way->rest(near);
	if (is_alone)
		return result;
	return result < 0 ? find_cause(contest, result) : hear(contest);
}

/* Again, if another program had one of the processors meanwhile. */
static int run_undisturbed(struct topic_contest *contest, struct topic_end *near, uint64_t count,
                           struct bench_sample *sample)
{
	const struct bench_sample empty = *sample;
	int result = 0;

	contest->switches = 1;
	contest->quiet->samples++;
	for (int i = 0; result == 0 && contest->switches > 0 && i < contest->tries; i++) {
		*sample = empty;
		contest->quiet->repeated += i > 0;
		result = run_once(contest, near, count, sample);
		if (contest->plan->same_cpu)
			contest->switches = 0;
	}
	contest->quiet->interrupted += contest->switches > 0;
	return result;
}

int bench_topic_measure(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct topic_contest *contest = state;
	uint64_t thousandths = argument >> 8;
	struct topic_end *near = &contest->near[argument & 0xff];
	uint64_t count = thousandths ? TOPIC_TAIL_COUNT : sample->operations;
	int result = 0;

	if (near->left_out) {
		sample->left_out = near->left_out;
		return BENCH_LEFT_OUT;
	}
	if (!near->is_open)
		result = run_once(contest, near, contest->plan->warm_count, NULL);
	near->times = thousandths ? contest->times : NULL;
	if (result == 0)
		result = run_undisturbed(contest, near, count, sample);
	if (thousandths && result == 0) {
		sample->ns = find_quantile(contest->times, count, thousandths);
		sample->operations = 1;
	}
	return result;
}

/* --- a group --- */

static int make_ends(struct topic_contest *contest, int near_cpu)
{
	const struct topic_plan *plan = contest->plan;

	for (size_t row = 0; row < plan->entry_count; row++) {
		struct topic_end *near = &contest->near[row], *far = &contest->far[row];
		int result = 0;

		*near = (struct topic_end){
			.way = plan->entries[row].way,
			.parameter = plan->entries[row].parameter,
			.directory = contest->directory,
			.row = row,
			.far_count = plan->far_count ? plan->far_count : 1,
			.is_near = true,
			.near_cpu = near_cpu,
			.far_cpu = contest->far_cpu,
			.pause_ns = plan->pause_ns,
			.message_bytes = plan->message_bytes,
			.lines = &contest->memory->lines[row],
			.ring = contest->memory->ring,
			.in = -1,
			.out = -1,
		};
		*far = *near;
		far->is_near = false;
		if (near->way->make)
			result = near->way->make(near, far);
		if (result < 0)
			return result;
	}
	return 0;
}

static int begin(struct topic_contest *contest, const struct bench_machine *machine)
{
	unsigned int wanted = contest->plan->far_count ? contest->plan->far_count : 1;
	int result;

	contest->far_cpu = contest->plan->same_cpu ? machine->cpu : bench_topic_far_cpu(machine);
	if (contest->far_cpu < 0)
		return 0;
	if (contest->directory[0] && mkdir(contest->directory, 0700) == -1)
		return -errno;
	contest->memory = mmap(NULL, sizeof(*contest->memory), PROT_READ | PROT_WRITE,
	                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (contest->memory == MAP_FAILED) {
		contest->memory = NULL;
		return -errno;
	}
	result = make_ends(contest, machine->cpu);
	for (; result == 0 && contest->far_count < wanted; contest->far_count++)
		result = bench_topic_fork_far(contest, contest->far_count, contest->far_cpu);
	bench_topic_watch_children(true);
	/* And ours of what the far one has. */
	for (size_t row = 0; row < contest->plan->entry_count; row++)
		if (contest->far[row].way && contest->far[row].way->make)
			bench_topic_close_end(&contest->far[row]);
	return result;
}

static void end(struct topic_contest *contest, bool failed)
{
	bench_topic_watch_children(false);
	for (unsigned int i = 0; i < contest->far_count; i++) {
		close(contest->fars[i].orders);
		close(contest->fars[i].answers);
		if (failed)
			kill(contest->fars[i].pid, SIGKILL);
		waitpid(contest->fars[i].pid, NULL, 0);
	}
	for (size_t row = 0; row < contest->plan->entry_count; row++)
		bench_topic_close_end(&contest->near[row]);
	if (contest->memory)
		munmap(contest->memory, sizeof(*contest->memory));
	if (contest->directory[0])
		bench_place_remove_tree(contest->directory);
	free(contest);
}

const char *bench_topic_unfit(void *state)
{
	const struct topic_contest *contest = state;

	return contest->far_cpu < 0 ? "it needs two processors, and this process may use one"
	                            : NULL;
}

int bench_topic_run_plan(struct bench_report *report, const struct bench_machine *machine,
                         const struct topic_plan *plan, const char *directory,
                         struct topic_quiet *quiet)
{
	struct topic_contest *contest;
	int code, result;

	if (!bench_wants(report, plan->group->name))
		return EXIT_DONE;
	contest = calloc(1, sizeof(*contest));
	if (!contest)
		return output_fail("%s", strerror(ENOMEM));
	contest->plan = plan;
	contest->quiet = quiet;
	contest->tries = report->settings.quick ? 1 : TRIES;
	if (directory)
		snprintf(contest->directory, sizeof(contest->directory), "%s/%s", directory,
		         plan->group->name);
	code = begin(contest, machine);
	result = code < 0 ? output_fail("%s: %s", plan->group->name, strerror(-code))
	                  : bench_run_group(report, plan->group, contest, plan->message_bytes);
	end(contest, result != EXIT_DONE);
	return result;
}
