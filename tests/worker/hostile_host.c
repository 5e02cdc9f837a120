/*
 * A host under attack: calls that are waited for, and the watch over time.
 *
 * Invariant: every call says before when it is due, and whatever it tells is looked at: no length above the
 * capacity, no byte behind the bytes, no word of an end that does not exist.
 */
#include "worker/hostile_host.h"

#include <fcntl.h>
#include <poll.h>

#define FILLER     0x3c
#define PAGE_BYTES 4096

/* --- time --- */

static size_t read_text(const char *path, char *text, size_t bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, bytes - 1);

	if (fd >= 0)
		close(fd);
	text[length < 0 ? 0 : length] = '\0';
	return strlen(text);
}

/* How long this thread was ready to run and had no processor; 0 if the kernel does not count that. */
static int64_t waited_ns(void)
{
	char text[128];
	long long ran, waited;

	read_text("/proc/thread-self/schedstat", text, sizeof(text));
	return sscanf(text, "%lld %lld", &ran, &waited) == 2 ? waited : 0;
}

/* What other machines took of the processors. */
static int64_t stolen_ns(void)
{
	char text[256];
	long long stolen = 0;

	read_text("/proc/stat", text, sizeof(text));
	(void)!sscanf(text, "cpu %*d %*d %*d %*d %*d %*d %*d %lld", &stolen);
	return stolen * (1000 * MILLISECOND_NS / sysconf(_SC_CLK_TCK));
}

/* From here on it is due. The kernel is asked every millisecond, no more: calls are shorter. */
static void begin(struct host *host, int64_t due_ns)
{
	int64_t now = now_ns();

	if (now - host->asked_ns > MILLISECOND_NS) {
		host->waited_ns = waited_ns();
		host->stolen_ns = stolen_ns();
		host->asked_ns = now;
	}
	atomic_store_explicit(&host->tally->due_ns, due_ns, memory_order_relaxed);
}

static void note_late(struct host *host, int64_t late_ns)
{
	struct hostile_tally *tally = host->tally;
	int64_t step = late_ns / LATE_STEP_NS, own_ns = late_ns;

	tally->late++;
	tally->steps[step < LATE_STEPS ? step : LATE_STEPS]++;
	if (late_ns > tally->worst_ns)
		tally->worst_ns = late_ns;
	if (late_ns > MILLISECOND_NS)
		own_ns -= waited_ns() - host->waited_ns + stolen_ns() - host->stolen_ns;
	if (own_ns > tally->worst_own_ns)
		tally->worst_own_ns = own_ns;
	tally->over += own_ns > GRACE_NS;
	require(tally->over <= OVER_FIRST + tally->late / OVER_PART);
	require(late_ns < HARD_NS);
}

static void end(struct host *host, int64_t due_ns)
{
	int64_t late_ns = now_ns() - due_ns;

	atomic_store_explicit(&host->tally->due_ns, 0, memory_order_relaxed);
	host->tally->calls++;
	if (late_ns > 0)
		note_late(host, late_ns);
}

/* Of what has no deadline, and waits for the kernel. */
static void end_at_once(struct host *host, int64_t begin_ns)
{
	int64_t took_ns = now_ns() - begin_ns;

	atomic_store_explicit(&host->tally->due_ns, 0, memory_order_relaxed);
	host->tally->calls++;
	if (took_ns > host->tally->longest_ns)
		host->tally->longest_ns = took_ns;
	require(took_ns < HARD_NS);
}

/* --- what is told --- */

static void check_end(const struct ayre_worker_end *end)
{
	char text[160];

	require(end->kind < AYRE_WORKER_LOST);
	require(end->signal >= 0 && end->signal <= 64);
	require(end->cpu_ns >= -1 && end->max_rss_bytes >= -1);
	ayre_worker_end_text(end, text, sizeof(text));
	require(strlen(text) > 0);
}

/* Not one that says of the worker what is not so, unless it says itself that it was not confined. */
static void check_failure(struct host *host, int64_t outcome, const struct ayre_worker_end *end)
{
	check_end(end);
	switch (outcome) {
	case -EPIPE:
		host->tally->died++;
		require(end->kind != AYRE_WORKER_RUNNING);
		break;
	case -ETIMEDOUT:
		break;
	case -EPROTO:
	case -ENOENT:
	case -EMSGSIZE:
		host->tally->refused++;
		break;
	default:
		require(outcome > -4096);
		require(end->kind == AYRE_WORKER_EXITED && end->status == 125);
	}
}

/* So many bytes were copied, and no more; and all is made ready for the next. */
static void check_room(struct host *host, size_t copied)
{
	size_t rest = host->capacity - copied + CANARY_BYTES;

	require(copied <= host->capacity);
	require(memcmp(host->room + copied, host->canary, rest) == 0);
	memset(host->room, FILLER, copied);
}

/* --- the whole --- */

/* The maps of the replies: the processes count in their last words. */
static void find_places(struct host *host)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];

	require(file);
	while (fgets(line, sizeof(line), file)) {
		unsigned long begin, end;

		if (!strstr(line, "/memfd:ayre-replies") ||
		    sscanf(line, "%lx-%lx", &begin, &end) != 2 ||
		    end - begin != host->room_bytes + PAGE_BYTES)
			continue;
		require(host->place_count < PLACES_MAX);
		host->places[host->place_count++] = (const uint64_t *)end - 1;
	}
	fclose(file);
	require(host->place_count > 0);
}

void host_open(struct host *host, const struct ayre_worker_options *options, size_t capacity,
               struct hostile_tally *tally)
{
	require(options->reply_max >= capacity);
	*host = (struct host){
		.tally = tally,
		.capacity = capacity,
		.room_bytes = (options->reply_max + PAGE_BYTES) / PAGE_BYTES * PAGE_BYTES,
		.room = malloc(capacity + CANARY_BYTES),
		.canary = malloc(capacity + CANARY_BYTES),
	};
	require(host->room && host->canary);
	memset(host->room, FILLER, capacity + CANARY_BYTES);
	memset(host->canary, FILLER, capacity + CANARY_BYTES);
	host->worker = open_module(options, "module_rewrite");
	find_places(host);
}

void host_close(struct host *host)
{
	host_count(host);
	ayre_worker_close(host->worker);
	free(host->room);
	free(host->canary);
}

void host_count(struct host *host)
{
	for (unsigned int i = 0; i < host->place_count; i++) {
		uint64_t now = *host->places[i];

		/* Another process begins anew. */
		host->tally->mutations += now >= host->seen[i] ? now - host->seen[i] : now;
		host->seen[i] = now;
	}
}

/* --- calls that are waited for --- */

ssize_t host_call(struct host *host, uint32_t way, int64_t within_ns)
{
	const struct hostile_wish wish = {way, random_below(UINT32_MAX), host->room_bytes};
	int64_t due_ns = now_ns() + within_ns;
	size_t copied = 0;
	ssize_t result;

	begin(host, due_ns);
	result = ayre_worker_call_until(host->worker, "rewrite", &wish, sizeof(wish), host->room,
	                                host->capacity, due_ns);
	end(host, due_ns);
	if (result >= 0) {
		copied = (size_t)result;
	} else if (result == -EREMOTEIO) {
		require(info_of_worker(host->worker).result != 0);
		copied = info_of_worker(host->worker).reply_bytes;
	} else {
		struct ayre_worker_end how = end_of_worker(host->worker);

		check_failure(host, result, &how);
	}
	host->tally->answered += result >= 0 || result == -EREMOTEIO;
	check_room(host, copied);
	host_count(host);
	return result;
}

void host_call_honest(struct host *host)
{
	unsigned char request[2048], reply[2048];
	size_t bytes = 1 + random_below(sizeof(request));

	fill_pattern(request, bytes, random_below(UINT32_MAX));
	require(ayre_worker_call_until(host->worker, "mirror", request, bytes, reply, sizeof(reply),
	                               now_ns() + HONEST_NS) == (ssize_t)bytes);
	for (size_t i = 0; i < bytes; i++)
		require(reply[i] == (request[i] ^ 0xff));
	host->tally->honest_calls++;
}

void host_find_nothing(struct host *host)
{
	uint32_t found = UINT32_MAX;
	ssize_t result = ayre_worker_call_until(host->worker, "find_leftovers", "x", 1, host->room,
	                                        host->capacity, now_ns() + HONEST_NS);

	require(result == sizeof(found));
	memcpy(&found, host->room, sizeof(found));
	check_room(host, sizeof(found));
	require(found == 0);
	host->tally->honest_calls++;
}

/* --- calls that are not --- */

static struct pending *find(struct host *host, enum pending_state state, uint64_t call)
{
	for (unsigned int i = 0; i < PENDING_MAX; i++)
		if (host->pending[i].state == state && (!call || host->pending[i].call == call))
			return &host->pending[i];
	return NULL;
}

static struct pending *submit(struct host *host, const struct ayre_worker_job *job,
                              const struct pending *given)
{
	struct pending *pending = find(host, PENDING_FREE, 0);
	uint64_t call = 0;
	int64_t now;
	int result;

	if (!pending)
		return NULL;
	now = now_ns();
	begin(host, now);
	result = ayre_worker_submit(host->worker, job, &call);
	end(host, now);
	/* Who was kept from the processor may come when its deadline has passed. */
	require((result == 0 && call > 0) || result == -EAGAIN ||
	        (result == -ETIMEDOUT && now_ns() >= job->deadline_ns));
	if (result < 0)
		return NULL;
	*pending = *given;
	pending->state = PENDING_UNDER_WAY;
	pending->call = call;
	return pending;
}

struct pending *host_submit(struct host *host, uint32_t way, int64_t within_ns)
{
	const struct hostile_wish wish = {way, random_below(UINT32_MAX), host->room_bytes};
	const struct pending pending = {.deadline_ns = now_ns() + within_ns};

	return submit(host,
	              JOB(.function = "rewrite", .request = &wish, .request_bytes = sizeof(wish),
	                  .deadline_ns = pending.deadline_ns, .reply_capacity = host->capacity),
	              &pending);
}

struct pending *host_submit_honest(struct host *host)
{
	const struct pending pending = {
		.deadline_ns = now_ns() + HONEST_NS,
		.is_honest = true,
		.seed = random_below(UINT32_MAX),
		.bytes = 1 + random_below(2048),
	};
	unsigned char request[2048];

	fill_pattern(request, pending.bytes, pending.seed);
	return submit(host,
	              JOB(.function = "mirror", .request = request, .request_bytes = pending.bytes,
	                  .deadline_ns = pending.deadline_ns, .reply_capacity = host->capacity),
	              &pending);
}

static void check_honest(struct host *host, const struct pending *pending,
                         const struct ayre_worker_answer *answer)
{
	unsigned char copy[2048];

	if (answer->outcome != pending->bytes)
		dprintf(STDERR_FILENO, "an honest call came to %lld\n", (long long)answer->outcome);
	require(answer->outcome == pending->bytes && answer->bytes == pending->bytes);
	memcpy(copy, answer->data, pending->bytes);
	for (size_t i = 0; i < pending->bytes; i++)
		copy[i] ^= 0xff;
	require(is_pattern(copy, pending->bytes, pending->seed));
	host->tally->honest_calls++;
}

static void check_answer(struct host *host, const struct pending *pending,
                         const struct ayre_worker_answer *answer)
{
	size_t copied = 0;

	if (pending->is_honest) {
		check_honest(host, pending, answer);
		return;
	}
	if (answer->outcome >= 0 || answer->outcome == -EREMOTEIO) {
		require(answer->outcome < 0 || (uint64_t)answer->outcome == answer->bytes);
		require((answer->outcome >= 0) == (answer->result == 0));
		require(answer->data && answer->bytes <= host->capacity);
		copied = answer->bytes;
		memcpy(host->room, answer->data, copied);
		host->tally->answered++;
	} else {
		require(!answer->data);
		check_failure(host, answer->outcome, &answer->end);
	}
	check_room(host, copied);
}

/* The first of those that are under way, or this. */
static int64_t first_deadline(const struct host *host, int64_t due_ns)
{
	for (unsigned int i = 0; i < PENDING_MAX; i++)
		if (host->pending[i].state == PENDING_UNDER_WAY &&
		    host->pending[i].deadline_ns < due_ns)
			due_ns = host->pending[i].deadline_ns;
	return due_ns;
}

struct pending *host_collect(struct host *host, int64_t until_ns,
                             struct ayre_worker_answer *ret_answer)
{
	int64_t now = now_ns(), due_ns = first_deadline(host, until_ns);
	struct pending *pending;
	int result;

	*ret_answer = (struct ayre_worker_answer){.size = sizeof(*ret_answer)};
	due_ns = due_ns > now ? due_ns : now;
	begin(host, due_ns);
	result = until_ns > 0 ? ayre_worker_collect_until(host->worker, until_ns, ret_answer)
	                      : ayre_worker_try_collect(host->worker, ret_answer);
	end(host, due_ns);
	host_count(host);
	if (result < 0) {
		require(result == (find(host, PENDING_UNDER_WAY, 0)
		                           ? (until_ns > 0 ? -ETIMEDOUT : -EAGAIN)
		                           : -ENOMSG));
		/* Nobody is left who was late when it began to look. */
		require(first_deadline(host, INT64_MAX) > now);
		return NULL;
	}
	pending = find(host, PENDING_UNDER_WAY, ret_answer->call);
	require(pending);
	pending->state = PENDING_COLLECTED;
	check_answer(host, pending, ret_answer);
	return pending;
}

void host_poll(struct host *host)
{
	struct pollfd fd = {.fd = ayre_worker_fd(host->worker), .events = POLLIN};
	int64_t due_ns = first_deadline(host, INT64_MAX), now = now_ns();

	if (due_ns == INT64_MAX)
		return;
	due_ns = due_ns > now ? due_ns : now;
	begin(host, due_ns);
	require(poll(&fd, 1, 30000) == 1);
	end(host, due_ns);
}

/* Bytes that are read twice are the same; between the two there is time to change them. */
void host_freeze(struct host *host, const struct ayre_worker_answer *answer)
{
	char *first = malloc(answer->bytes + 1), *second = malloc(answer->bytes + 1);
	int64_t now = now_ns();
	int result;

	require(first && second);
	begin(host, now);
	result = ayre_worker_freeze(host->worker, answer->call);
	end_at_once(host, now);
	if (result < 0)
		dprintf(STDERR_FILENO, "freezing came to %d\n", result);
	require(result == 0);
	memcpy(first, answer->data, answer->bytes);
	for (int i = 0; i < 100; i++)
		atomic_signal_fence(memory_order_seq_cst);
	memcpy(second, answer->data, answer->bytes);
	require(memcmp(first, second, answer->bytes) == 0);
	host->tally->freezes++;
	free(first);
	free(second);
}

void host_release(struct host *host, struct pending *pending)
{
	require(pending->state == PENDING_COLLECTED);
	ayre_worker_release(host->worker, pending->call);
	pending->state = PENDING_FREE;
}

void host_cancel(struct host *host, struct pending *pending)
{
	require(pending->state == PENDING_UNDER_WAY);
	ayre_worker_cancel(host->worker, pending->call);
	pending->state = PENDING_FREE;
}
