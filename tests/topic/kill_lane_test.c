/*
 * A lane as a death would leave it, after every instruction of its writer.
 *
 * The writer is a traced child that fills the ring many times over. Between any two of its
 * instructions the memory is looked at: by the next writer, on a copy; by a reader that walks; and
 * by one that read the limit long ago, and reads the checkpoints now.
 */
#include "support/trace.h"

#include <signal.h>
#include <sys/mman.h>

#include "sys/map.h"
#include "topic/lane.h"

#define RING_BYTES 4096u
#define BYTES      (sizeof(struct ayrei_lane_layout) + RING_BYTES)
#define MESSAGES   (long_form() ? 6000u : 600u)
#define MOST       6000u

/* What the writer and its tracer share besides the lane. */
static struct {
	volatile unsigned int sent;
	volatile bool ended;
} * word;

static struct ayrei_lane lane;
static char data[MOST][RING_BYTES / 4];
static uint64_t positions[MOST + 1];
static uint64_t limits[MOST];
static unsigned int limit_count;
static unsigned int instants;

/* Many small ones, and the largest that there can be. */
static size_t size_of(unsigned int number)
{
	return number % 37 == 36 ? RING_BYTES / 4 : number * 29u % 131;
}

static void *map_lane(void)
{
	int fd = memfd_create("lane", MFD_CLOEXEC);
	void *base;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	assert_int_equal(
		ayrei_map_mirrored(fd, sizeof(struct ayrei_lane_layout), RING_BYTES, true, &base),
		0);
	close(fd);
	return base;
}

static void unmap_lane(void *base)
{
	ayrei_unmap(base, BYTES + RING_BYTES);
}

static void use(struct ayrei_lane *which, void *base)
{
	*which = (struct ayrei_lane){
		.layout = base,
		.ring = (char *)base + sizeof(struct ayrei_lane_layout),
		.mask = RING_BYTES - 1,
	};
}

/* --- the writer --- */

static int send_message(struct ayrei_lane *which, unsigned int number)
{
	size_t bytes = size_of(number);

	if (!ayrei_lane_fits(which, bytes) && ayrei_lane_extend(which, bytes, UINT64_MAX) < 0)
		return -EAGAIN;
	ayrei_copy(ayrei_lane_bytes(which, which->position), data[number], bytes);
	ayrei_lane_commit(which, ayrei_record_pack((uint32_t)bytes, AYREI_RECORD_MESSAGE, 0));
	which->sequence++;
	return 0;
}

static int write_all(void *context)
{
	unsigned int count = MESSAGES;

	(void)context;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
		return CHILD_SKIPS;
	raise(SIGSTOP);
	for (unsigned int i = 0; i < count; i++) {
		require(send_message(&lane, i) == 0);
		word->sent = i + 1;
	}
	word->ended = true;
	for (;;)
		__asm__ volatile("" : : : "memory");
	return 0;
}

/* --- those who look --- */

/* The message that begins there, or MOST + 1. */
static unsigned int number_at(uint64_t position)
{
	unsigned int low = 0, high = MESSAGES;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (positions[middle] < position)
			low = middle + 1;
		else
			high = middle;
	}
	return positions[low] == position ? low : MOST + 1;
}

static struct ayrei_reader reader_of(const struct ayrei_lane *which)
{
	return (struct ayrei_reader){
		.layout = which->layout, .ring = which->ring, .mask = which->mask};
}

/* Whole, and in their places; returns the number of the one that is not there yet. */
static unsigned int walk(struct ayrei_reader reader)
{
	uint64_t header;

	while ((header = ayrei_reader_header(&reader))) {
		unsigned int number = number_at(reader.position);
		size_t bytes = (uint32_t)header;

		assert_int_equal(number, reader.sequence);
		assert_int_equal(bytes, size_of(number));
		assert_memory_equal(reader.ring + (reader.position & reader.mask) +
		                            AYREI_RECORD_HEADER,
		                    data[number], bytes);
		reader.position = ayrei_record_end(reader.position, bytes);
		reader.sequence++;
	}
	return (unsigned int)reader.sequence;
}

/* What is there: all that was sent, and of the one that is being sent all or nothing. */
static void look_as_reader(const struct ayrei_lane *copy, unsigned int sent)
{
	struct ayrei_reader reader = reader_of(copy);

	assert_int_equal(ayrei_reader_seek_oldest(&reader), 0);
	assert_in_range(walk(reader), sent, sent + 1);
	assert_int_equal(ayrei_reader_seek_next(&reader), 0);
	assert_in_range(reader.sequence, sent, sent + 1);
	assert_int_equal(number_at(reader.position), reader.sequence);
}

/* The limit as it was when each chunk of the last rings began: what is found then is true. */
static void look_with_old_limit(const struct ayrei_lane *copy)
{
	struct ayrei_reader reader = reader_of(copy);
	uint64_t now = copy->layout->limit;

	for (unsigned int i = limit_count; i-- > 0 && limits[i] + 3 * RING_BYTES > now;) {
		struct ayrei_checkpoint checkpoint;

		copy->layout->limit = limits[i];
		if (ayrei_reader_checkpoint(&reader, 0, &checkpoint) == 0)
			assert_int_equal(number_at(checkpoint.position), checkpoint.sequence);
	}
	copy->layout->limit = now;
}

/* It goes on where the dead one was, and what it sends is read. */
static void take_over(struct ayrei_lane *copy, unsigned int sent)
{
	bool closed = true;
	struct ayrei_reader reader;

	assert_int_equal(ayrei_lane_recover(copy, &closed), 0);
	assert_false(closed);
	assert_in_range(copy->sequence, sent, sent + 1);
	assert_int_equal(number_at(copy->position), copy->sequence);
	if (copy->sequence >= MESSAGES)
		return;
	reader = reader_of(copy);
	reader.position = copy->position;
	reader.sequence = copy->sequence;
	assert_int_equal(send_message(copy, (unsigned int)copy->sequence), 0);
	assert_int_equal(walk(reader), copy->sequence);
}

static void look(void *copied)
{
	struct ayrei_lane copy;

	memcpy(copied, lane.layout, BYTES);
	use(&copy, copied);
	if (limits[limit_count - 1] != copy.layout->limit)
		limits[limit_count++] = copy.layout->limit;
	look_as_reader(&copy, word->sent);
	look_with_old_limit(&copy);
	take_over(&copy, word->sent);
	instants++;
}

static void prepare(void)
{
	for (unsigned int i = 0; i < MESSAGES; i++) {
		fill_pattern(data[i], size_of(i), i);
		positions[i + 1] = ayrei_record_end(positions[i], size_of(i));
	}
}

static void what_any_death_leaves_is_whole(void **state)
{
	void *copied = map_lane(), *mapped = map_lane();
	pid_t child;
	int status;

	(void)state;
	word = share_memory(sizeof(*word));
	use(&lane, mapped);
	ayrei_lane_begin(&lane, lane.mask + 1, 0);
	limits[0] = lane.limit;
	limit_count = 1;
	positions[0] = lane.position;
	prepare();
	stay_on_this_processor();
	child = start_child(write_all, NULL);
	status = end_of(child);
	if (WIFSTOPPED(status)) {
		while (!word->ended && go_on(child, PTRACE_SINGLESTEP))
			look(copied);
		assert_int_equal(word->sent, MESSAGES);
		kill_traced(child);
	}
	unmap_lane(mapped);
	unmap_lane(copied);
	unshare_memory(word, sizeof(*word));
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("this machine does not let a process trace its child");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(what_any_death_leaves_is_whole),
	};
	int result = run_counted("kill_lane", tests);

	print_message("# instants looked at: %u\n", instants);
	return result;
}
