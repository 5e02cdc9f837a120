/*
 * Many threads that each wait until their message is safe, over a log that knows nothing of it: what a program
 * does by hand around a file or a library.
 *
 * Invariant: one thread at a time appends. It takes all that have gathered, and wakes those threads when the call has
 * returned; then the first of those that have gathered meanwhile, to be the next.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "command/bench_log.h"

#define WAITERS_MAX 128

struct waiter {
	struct gather *gather;
	pthread_t thread;
	sem_t woken;
	bool leads;          /* when it is woken: it is to be the next */
	struct waiter *next; /* that has gathered */
};

struct gather {
	struct log_bench *bench;
	enum log_way way;
	pthread_mutex_t lock; /* of all below */
	uint64_t left;        /* messages that no thread has taken on yet */
	bool led;
	struct waiter *gathered;
	size_t count;
	int result;
	struct waiter waiters[WAITERS_MAX];
};

static struct waiter *take_gathered(struct gather *gather, size_t *ret_count)
{
	struct waiter *first;

	pthread_mutex_lock(&gather->lock);
	first = gather->gathered;
	*ret_count = gather->count;
	gather->gathered = NULL;
	gather->count = 0;
	pthread_mutex_unlock(&gather->lock);
	return first;
}

static void wake(struct waiter *first, const struct waiter *leader)
{
	while (first) {
		/* Once it is woken it may gather again. */
		struct waiter *waiter = first;

		first = waiter->next;
		if (waiter != leader)
			sem_post(&waiter->woken);
	}
}

static void hand_over(struct gather *gather, int result)
{
	struct waiter *next;

	pthread_mutex_lock(&gather->lock);
	if (result < 0)
		gather->result = result;
	next = gather->gathered;
	gather->led = next;
	if (next)
		next->leads = true;
	pthread_mutex_unlock(&gather->lock);
	if (next)
		sem_post(&next->woken);
}

static void lead(struct waiter *self)
{
	struct gather *gather = self->gather;
	struct waiter *first;
	size_t count;
	int result;

	first = take_gathered(gather, &count);
	result = bench_log_append(gather->bench, gather->way, count);
	wake(first, self);
	hand_over(gather, result);
}

enum turn {
	TURN_OVER, /* nothing is left to do */
	TURN_LEAD,
	TURN_WAIT, /* until somebody wakes us */
};

static enum turn join(struct waiter *self)
{
	struct gather *gather = self->gather;
	enum turn turn = TURN_OVER;

	pthread_mutex_lock(&gather->lock);
	if (gather->left > 0 && gather->result == 0) {
		gather->left--;
		gather->count++;
		self->next = gather->gathered;
		gather->gathered = self;
		self->leads = false;
		turn = gather->led ? TURN_WAIT : TURN_LEAD;
		gather->led = true;
	}
	pthread_mutex_unlock(&gather->lock);
	return turn;
}

static void *run_waiter(void *argument)
{
	struct waiter *self = argument;
	enum turn turn;

	while ((turn = join(self)) != TURN_OVER) {
		/* What leads says may change until we are woken, and belongs to that. */
		while (turn == TURN_WAIT && sem_wait(&self->woken) == -1)
			;
		if (turn == TURN_LEAD || self->leads)
			lead(self);
	}
	return NULL;
}

static unsigned int start(struct gather *gather, unsigned int count)
{
	unsigned int started = 0;

	while (started < count) {
		struct waiter *waiter = &gather->waiters[started];

		waiter->gather = gather;
		sem_init(&waiter->woken, 0, 0);
		if (pthread_create(&waiter->thread, NULL, run_waiter, waiter) != 0)
			break;
		started++;
	}
	return started;
}

int bench_log_gather(struct log_bench *bench, enum log_way way, unsigned int count,
                     struct bench_sample *sample)
{
	struct gather *gather = calloc(1, sizeof(*gather));
	unsigned int started;
	int result;

	if (!gather)
		return -ENOMEM;
	gather->bench = bench;
	gather->way = way;
	gather->left = sample->operations;
	pthread_mutex_init(&gather->lock, NULL);
	bench_machine_unbind(bench->machine);
	bench_begin(sample);
	started = start(gather, count);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(gather->waiters[i].thread, NULL);
	bench_end(sample);
	bench_machine_bind(bench->machine);
	result = started < count ? -EAGAIN : gather->result;
	free(gather);
	return result;
}

/* --- without threads --- */

int bench_log_loop(struct log_bench *bench, enum log_way way, size_t count,
                   struct bench_sample *sample)
{
	const struct log_store *store = bench_log_store(way);
	uint64_t sent = bench->next[way], safe = sent, end = sent + sample->operations;
	int result = 0;

	bench_machine_unbind(bench->machine);
	bench_begin(sample);
	while (result == 0 && safe < end) {
		uint64_t some = count - (sent - safe);
		int64_t told;

		if (some > end - sent)
			some = end - sent;
		for (uint64_t i = 0; i < some; i++)
			log_message_make(&bench->messages[i], sent + i);
		result = some ? store->send(bench->logs[way], bench->messages, some) : 0;
		sent += some;
		told = result == 0 ? store->await(bench->logs[way]) : result;
		if (told < 0)
			result = (int)told;
		else if ((uint64_t)told > safe)
			safe = (uint64_t)told;
	}
	bench_end(sample);
	bench_machine_bind(bench->machine);
	bench->next[way] = sent;
	return result;
}
