/*
 * What any textbook makes of shared memory: slots that two processes have mapped, and a word or a
 * semaphore that says which of them are full. The same slots in a mapped file.
 *
 * Invariant: all of a way's memory is in what it is named for, its words and semaphores too; only so does a
 * mapped file cost what a mapped file costs.
 */
#include "command/bench_topic.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define FILE_BYTES (PAGE_BYTES + TOPIC_RING_BYTES)

/* --- a file's memory, in the place of the other --- */

static int map_file(struct topic_end *end, int fd)
{
	char *base = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	end->lines = (struct topic_lines *)(void *)base;
	end->ring = base + PAGE_BYTES;
	return 0;
}

/* Each end has a map of its own, since each is closed by itself. */
static int make_file(struct topic_end *near, struct topic_end *far)
{
	int fd = bench_open_unnamed(bench_directory()), result;

	near->lines = far->lines = NULL;
	if (fd < 0)
		return fd;
	result = -posix_fallocate(fd, 0, FILE_BYTES);
	if (result == 0)
		result = map_file(near, fd);
	if (result == 0)
		result = map_file(far, fd);
	close(fd);
	return result;
}

static void close_file(struct topic_end *end)
{
	if (end->lines)
		munmap(end->lines, FILE_BYTES);
	end->lines = NULL;
}

/* --- slots: there in one half, back in the other --- */

static char *slot_at(const struct topic_end *end, bool there, uint64_t index)
{
	uint64_t bytes = (end->message_bytes + 63) & ~(uint64_t)63;

	return end->ring + (there ? 0 : TOPIC_RING_BYTES / 2) +
	       (index & (end->parameter - 1)) * bytes;
}

static uint64_t *word_of(const struct topic_end *end, bool there)
{
	return there ? &end->lines->there : &end->lines->back;
}

TOPIC_INLINE int await_word(const uint64_t *word, uint64_t least)
{
	for (uint64_t turn = 0; turn < TOPIC_TURNS_MAX; turn++)
		if (__builtin_expect(__atomic_load_n(word, __ATOMIC_ACQUIRE) >= least, true))
			return 0;
	return -ETIMEDOUT;
}

/* Nobody has more than one message on its way: the answer says that it was read. */
TOPIC_INLINE int slot_send(struct topic_end *end)
{
	topic_write(end, slot_at(end, end->is_near, end->sent));
	__atomic_store_n(word_of(end, end->is_near), end->sent, __ATOMIC_RELEASE);
	return 0;
}

TOPIC_INLINE int slot_receive(struct topic_end *end)
{
	const char *slot = slot_at(end, !end->is_near, end->received);
	int result = await_word(word_of(end, !end->is_near), end->received + 1);

	return result < 0 ? result : topic_check(end, slot);
}

TOPIC_ROUND_TRIPS(slot, slot_send, slot_receive)

const struct topic_way bench_size_memory = {.near = slot_near, .far = slot_far};

const struct topic_way bench_size_file = {
	.make = make_file,
	.close = close_file,
	.near = slot_near,
	.far = slot_far,
};

/* --- the same with a semaphore each way --- */

static sem_t *semaphore_of(const struct topic_end *end, bool there)
{
	return (sem_t *)(void *)word_of(end, there);
}

static int make_semaphores(struct topic_end *near, struct topic_end *far)
{
	(void)far;
	return sem_init(semaphore_of(near, true), 1, 0) == -1 ||
	                       sem_init(semaphore_of(near, false), 1, 0) == -1
	               ? -errno
	               : 0;
}

static int make_file_with_semaphores(struct topic_end *near, struct topic_end *far)
{
	int result = make_file(near, far);

	return result < 0 ? result : make_semaphores(near, far);
}

TOPIC_INLINE int posted_send(struct topic_end *end)
{
	topic_write(end, slot_at(end, end->is_near, end->sent));
	return sem_post(semaphore_of(end, end->is_near)) == -1 ? -errno : 0;
}

TOPIC_INLINE int posted_receive(struct topic_end *end)
{
	const char *slot = slot_at(end, !end->is_near, end->received);

	if (sem_wait(semaphore_of(end, !end->is_near)) == -1)
		return -errno;
	return topic_check(end, slot);
}

TOPIC_ROUND_TRIPS(posted, posted_send, posted_receive)

const struct topic_way bench_size_memory_asleep = {
	.make = make_semaphores,
	.near = posted_near,
	.far = posted_far,
};

const struct topic_way bench_size_file_asleep = {
	.make = make_file_with_semaphores,
	.close = close_file,
	.near = posted_near,
	.far = posted_far,
};

/* --- a stream through a mapped file: the ring that others have in memory --- */

static int stream_near(struct topic_end *end, uint64_t count)
{
	return bench_topic_ring_stream.near(end, count);
}

static int stream_far(struct topic_end *end, uint64_t count)
{
	return bench_topic_ring_stream.far(end, count);
}

const struct topic_way bench_size_file_stream = {
	.make = make_file,
	.close = close_file,
	.near = stream_near,
	.far = stream_far,
};

/* --- the floor: one line each way, and a memcpy of as much on each side --- */

TOPIC_INLINE int copied_send(struct topic_end *end)
{
	topic_write(end, end->buffer);
	/* So that the compiler does not see that nobody looks. */
	__asm__ volatile("" : : "r"(end->buffer) : "memory");
	__atomic_store_n(word_of(end, end->is_near), end->sent, __ATOMIC_RELEASE);
	return 0;
}

TOPIC_INLINE int line_receive(struct topic_end *end)
{
	return await_word(word_of(end, !end->is_near), ++end->received);
}

TOPIC_ROUND_TRIPS(line, copied_send, line_receive)

const struct topic_way bench_size_line = {.near = line_near, .far = line_far};
