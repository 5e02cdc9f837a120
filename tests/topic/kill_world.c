/*
 * Peers to be killed.
 *
 * Invariant: each death is judged before the next one, by the same witnesses: what they have lost in
 * one they would miss in all that follow.
 */
#include "topic/kill_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <ayre/topic_list.h>

#include "topic/subscriber.h"

/* Every instruction of what is short. */
#define MOST 600
/* Under a sanitizer nothing is, and each step and fork costs several times as much: what dies there is a sample. */
#define SAMPLED_PART 8

int64_t died_ns;
atomic_uint *kills;
struct stage *stage;

static const struct operation *operation;
static char where[160];

void does_not_hold(const char *file, int line, const char *expression)
{
	dprintf(STDERR_FILENO, "%s; sent %lu, flying %lu, watcher at %lu, told %d\n", where,
	        (unsigned long)stage->sent, (unsigned long)stage->flying,
	        (unsigned long)stage->next, stage->end);
	require_failed(file, line, expression);
}

static void say_where(int number)
{
	(void)!write(STDERR_FILENO, where, strlen(where));
	(void)!write(STDERR_FILENO, ": the deadline has passed\n", 26);
	signal(number, SIG_DFL);
	raise(number);
}

/* --- delays --- */

#define MOST_DELAYS (1u << 17)

static int64_t delays[MOST_DELAYS];
static unsigned int delay_count;

/* Somebody can be told before the tracer is. */
void note_delay(int64_t ns)
{
	if (delay_count < MOST_DELAYS)
		delays[delay_count++] = ns > 0 ? ns : 0;
}

static int compare(const void *a, const void *b)
{
	const int64_t *one = a, *other = b;

	return *one < *other ? -1 : *one > *other;
}

/*
 * The line that is red is far away from what is measured: the machine may be busy with others. That
 * nobody waits for a clock is what it is to show.
 */
#define RED_NS (20 * MILLISECOND)

static void report(unsigned int count, unsigned int instructions)
{
	fprintf(stdout, "# %s: %u kills in %u instructions", operation->title, count, instructions);
	if (delay_count) {
		qsort(delays, delay_count, sizeof(*delays), compare);
		fprintf(stdout, "; told after %.0f us (half of them), %.0f (99 %%), %.0f (all)",
		        (double)delays[delay_count / 2] / 1e3,
		        (double)delays[delay_count * 99ul / 100] / 1e3,
		        (double)delays[delay_count - 1] / 1e3);
		holds(delays[delay_count / 2] < RED_NS);
	}
	fprintf(stdout, "\n");
	fflush(stdout);
	delay_count = 0;
}

void begin_kills(void)
{
	use_topic_root();
	kills = share_memory(sizeof(*kills));
}

int end_kills(int result)
{
	print_message("# kills tried: %u\n", *kills);
	unshare_memory(kills, sizeof(*kills));
	return result;
}

/* --- the victim --- */

static void call(void (*function)(void))
{
	if (function)
		function();
}

/* getppid(2) is what marks the beginning and the end for its tracer. */
static int be_victim(void *context)
{
	(void)context;
	call(operation->prepare);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
		return CHILD_SKIPS;
	raise(SIGSTOP);
	call(operation->make_ready);
	syscall(SYS_getppid);
	operation->run();
	getppid();
	/* It took another way than the one before it, which does no harm. */
	stage->ended = true;
	for (;;)
		__asm__ volatile("" : : : "memory");
	return 0;
}

static bool is_mark(const struct edge *edge)
{
	return edge->entry && edge->number == SYS_getppid;
}

/* One that stands at the edge-th edge, an exit; or at the entry that ends the operation. 0: no tracing. */
static pid_t start_victim(unsigned int nth, struct edge *edge)
{
	pid_t child;
	int status;

	snprintf(where, sizeof(where), "%s: on the way to edge %u", operation->title, nth);
	call(operation->begin);
	stage->through = stage->ended = false;
	child = start_child(be_victim, NULL);
	status = end_of(child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		return 0;
	holds(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	holds(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) ==
	      0);
	call(operation->set_stage);
	do {
		holds(go_on(child, PTRACE_SYSCALL));
		read_edge(child, edge);
	} while (edge->entry || edge->number != SYS_getppid);
	for (unsigned int i = 0; i < nth && !is_mark(edge); i++) {
		holds(go_on(child, PTRACE_SYSCALL));
		read_edge(child, edge);
	}
	return child;
}

static void end_victim(pid_t child)
{
	call(operation->look);
	kill_traced(child);
	died_ns = now_ns();
	call(operation->judge);
	atomic_fetch_add(kills, 1);
}

/* From the exit of a system call to the next entry: where that is. true: it ends the operation. */
static bool find_end(unsigned int nth, uint64_t *ret_address)
{
	struct edge edge = {0};
	pid_t child = start_victim(nth, &edge);

	snprintf(where, sizeof(where), "%s: at entry %u", operation->title, nth + 1);
	if (!is_mark(&edge)) {
		holds(go_on(child, PTRACE_SYSCALL));
		read_edge(child, &edge);
	}
	*ret_address = edge.instruction;
	end_victim(child);
	return is_mark(&edge);
}

/* Instructions up to there, that of the call included. */
static unsigned int count_instructions(unsigned int nth, uint64_t end)
{
	struct edge edge = {0};
	pid_t child = start_victim(nth, &edge);
	unsigned int count = 0;

	do {
		holds(go_on(child, PTRACE_SINGLESTEP));
		read_edge(child, &edge);
		count++;
	} while (edge.instruction != end && !stage->ended);
	snprintf(where, sizeof(where), "%s: at exit %u", operation->title, nth + 2);
	end_victim(child);
	return count;
}

static void kill_after(unsigned int nth, unsigned int count)
{
	struct edge edge = {0};
	pid_t child = start_victim(nth, &edge);

	for (unsigned int i = 0; i < count && !stage->ended; i++)
		holds(go_on(child, PTRACE_SINGLESTEP));
	snprintf(where, sizeof(where), "%s: %u instructions after exit %u, of system call %u",
	         operation->title, count, nth, (unsigned int)edge.number);
	end_victim(child);
}

static bool can_trace(void)
{
	struct edge edge = {0};
	pid_t child = start_victim(0, &edge);

	if (child == 0)
		return false;
	snprintf(where, sizeof(where), "%s: at the beginning", operation->title);
	end_victim(child);
	return true;
}

/* After how many instructions to die once. */
static unsigned int find_stride(unsigned int count)
{
	unsigned int most = operation->most ? operation->most : MOST;

	if (long_form())
		return 1;
	return count / (is_sanitized() ? most / SAMPLED_PART + 1 : most) + 1;
}

int kill_everywhere(const struct operation *what)
{
	unsigned int tried = *kills, total = 0;
	bool last = false;

	operation = what;
	snprintf(where, sizeof(where), "%s: before it", operation->title);
	signal(SIGALRM, say_where);
	limit_time(KILL_SECONDS);
	stay_on_this_processor();
	if (!can_trace())
		return skipped("this machine does not let a process trace its child");
	/* Entries and exits alternate. */
	for (unsigned int nth = 0; !last; nth += 2) {
		unsigned int count, stride;
		uint64_t end;

		last = find_end(nth, &end);
		count = count_instructions(nth, end);
		stride = find_stride(count);
		for (unsigned int i = total % stride; i < count; i += stride)
			kill_after(nth, i);
		total += count;
	}
	report(*kills - tried, total);
	return 0;
}

/* --- what all of them know --- */

void open_stage(void)
{
	stage = share_memory(sizeof(*stage));
}

void close_stage(void)
{
	unshare_memory(stage, sizeof(*stage));
	stage = NULL;
}

/* --- messages --- */

size_t size_of(uint64_t sequence)
{
	return 16 + sequence * 7 % 25;
}

void send_some(struct ayre_publisher *publisher, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		send_pattern(publisher, size_of(stage->sent), (uint32_t)stage->sent);
		stage->sent++;
	}
}

int receive_all(struct ayre_subscriber *subscriber, uint64_t *next, int64_t deadline_ns)
{
	static char buffer[16384];
	struct ayre_message message;

	for (;;) {
		ssize_t got = deadline_ns ? ayre_subscriber_receive_until(subscriber, buffer,
		                                                          sizeof(buffer), &message,
		                                                          deadline_ns)
		                          : ayre_subscriber_try_receive(subscriber, buffer,
		                                                        sizeof(buffer), &message);

		if (got < 0)
			return (int)got;
		holds(message.sequence == *next && (ssize_t)message.bytes == got);
		holds(is_message(&message, message.bytes, (uint32_t)*next));
		++*next;
	}
}

/* --- the watcher --- */

static void wait_for_a_waiter(const struct ayre_subscriber *subscriber)
{
	while (atomic_load(&stage->held)) {
		if (subscriber->source_count &&
		    ayrei_load(&subscriber->sources[0].reader.layout->waiting) != 0)
			return;
		pause_ns(MILLISECOND / 20);
	}
}

static int watch(void *context)
{
	const uint64_t *ring_bytes = context;
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(*ring_bytes), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED,
	                             .from = AYRE_FROM_OLDEST, .spin_ns = AYRE_SPIN_NONE),
	                  NAME);

	stage->watcher = info_of_subscriber(subscriber).id;
	for (unsigned int turn = 1;; turn++) {
		uint64_t next = stage->next;
		int result;

		announce(&stage->told, turn - 1);
		await(&stage->turn, turn);
		wait_for_a_waiter(subscriber);
		do {
			/* One at a time, so that others see how far it is. */
			char buffer[16384];
			struct ayre_message message;

			result = (int)ayre_subscriber_receive(subscriber, buffer, sizeof(buffer),
			                                      &message);
			if (result < 0)
				break;
			holds(message.sequence == next);
			holds(is_message(&message, message.bytes, (uint32_t)next));
			stage->next = ++next;
		} while (true);
		stage->told_ns = now_ns();
		stage->end = result;
		holds(result == -EOWNERDEAD || result == -EPIPE);
	}
	return 0;
}

static struct ayrei_cursor_layout *cursor;

pid_t start_watcher(uint64_t ring_bytes)
{
	char file[32], path[NAME_BYTES];
	pid_t watcher;
	int fd;

	atomic_store(&stage->told, UINT32_MAX);
	watcher = start_child(watch, &ring_bytes);
	while (atomic_load(&stage->told) != 0)
		pause_ns(MILLISECOND);
	snprintf(file, sizeof(file), "sub.%016lx", stage->watcher);
	fd = open(topic_path(NAME, file, path), O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	cursor = mmap(NULL, sizeof(*cursor), PROT_READ, MAP_SHARED, fd, 0);
	require(cursor != MAP_FAILED);
	close(fd);
	return watcher;
}

void begin_turn(void)
{
	announce_one_more(&stage->turn);
}

void await_watcher_asleep(void)
{
	int64_t deadline = in_ms(5000);

	while (cursor && (!(ayrei_load(ayrei_cursor_ticket(cursor, cursor->id)) & 1) ||
	                  stage->next < stage->sent)) {
		holds(now_ns() < deadline);
		pause_ns(MILLISECOND / 50);
	}
}

int await_told(void)
{
	int64_t deadline = in_ms(5000);

	while (atomic_load(&stage->told) < atomic_load(&stage->turn)) {
		holds(now_ns() < deadline);
		pause_ns(MILLISECOND / 50);
	}
	return stage->end;
}

void end_watcher(pid_t watcher)
{
	munmap(cursor, sizeof(*cursor));
	cursor = NULL;
	kill(watcher, SIGKILL);
	require(WIFSIGNALED(end_of(watcher)));
}

/* --- files --- */

static int count_files(void)
{
	char path[NAME_BYTES];
	DIR *directory = opendir(topic_path(NAME, "", path));
	const struct dirent *entry;
	int count = 0;

	require(directory);
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

bool has_files(int count, bool stray)
{
	int more = count_files() - count;

	if (more == 1 && stray)
		return ayre_topic_clear(NULL, NULL) == 1 && count_files() == count;
	return more == 0;
}
