/*
 * A lane's two ends in two threads, over one mapping, so that a thread sanitizer sees what each does to
 * the other's bytes; and handles of one topic in many threads.
 *
 * The reader is one that is waited for. One that is not reads what is being overwritten, and finds out
 * afterwards: no sanitizer can be told that.
 */
#include "topic/topic_world.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "sys/map.h"
#include "topic/lane.h"

#define RING_BYTES 4096u
#define MESSAGES   (long_form() ? 400000u : 40000u)
#define MOST       400000u
/* After so many another writer takes the lane over. */
#define TERM 1000u

static char *base;
/* What a subscriber's cursor is in a topic. */
static uint64_t cursor;
static uint64_t positions[MOST + 1];
static atomic_bool going;

static size_t size_of(unsigned int number)
{
	return number % 97 == 96 ? RING_BYTES / 4 : number * 29u % 131;
}

static struct ayrei_lane lane_here(void)
{
	return (struct ayrei_lane){
		.layout = (void *)base,
		.ring = base + sizeof(struct ayrei_lane_layout),
		.mask = RING_BYTES - 1,
	};
}

static struct ayrei_reader reader_here(void)
{
	return (struct ayrei_reader){
		.layout = (const void *)base,
		.ring = base + sizeof(struct ayrei_lane_layout),
		.mask = RING_BYTES - 1,
	};
}

/* --- the lane --- */

static void send_message(struct ayrei_lane *lane, unsigned int number)
{
	size_t bytes = size_of(number);
	char data[RING_BYTES / 4];

	fill_pattern(data, bytes, number);
	while (!ayrei_lane_fits(lane, bytes) &&
	       ayrei_lane_extend(lane, bytes, ayrei_load_acquire(&cursor)) == -EAGAIN)
		sched_yield();
	ayrei_copy(ayrei_lane_bytes(lane, lane->position), data, bytes);
	ayrei_lane_commit(lane, ayrei_record_pack((uint32_t)bytes, AYREI_RECORD_MESSAGE, 0));
	lane->sequence++;
}

/* From where the one before it stopped, to the end of its term. */
static void *write_a_term(void *context)
{
	unsigned int number = *(unsigned int *)context;
	struct ayrei_lane lane = lane_here();
	bool closed;

	require(ayrei_lane_recover(&lane, &closed) == 0);
	require(lane.sequence == number && lane.position == positions[number] && !closed);
	for (unsigned int i = 0; i < TERM; i++)
		send_message(&lane, number + i);
	return NULL;
}

static void *read_all(void *context)
{
	struct ayrei_reader reader = reader_here();
	char data[RING_BYTES / 4];

	(void)context;
	reader.position = RING_BYTES;
	while (reader.sequence < MESSAGES) {
		uint64_t header = ayrei_reader_header(&reader);
		size_t bytes = (uint32_t)header;

		if (header == 0) {
			ayrei_store_release(&cursor, reader.position);
			sched_yield();
			continue;
		}
		require(ayrei_record_is_valid(header, RING_BYTES));
		ayrei_copy(data,
		           reader.ring + (reader.position & reader.mask) + AYREI_RECORD_HEADER,
		           bytes);
		require(ayrei_reader_is_intact(&reader, reader.position));
		require(bytes == size_of((unsigned int)reader.sequence) &&
		        is_pattern(data, bytes, (uint32_t)reader.sequence));
		reader.position = ayrei_record_end(reader.position, bytes);
		reader.sequence++;
		if (reader.position - ayrei_load(&cursor) >= RING_BYTES / 8)
			ayrei_store_release(&cursor, reader.position);
	}
	return NULL;
}

/* A checkpoint says the truth whenever it is read. */
static void *read_checkpoints(void *context)
{
	struct ayrei_reader reader = reader_here();
	uint64_t *ret_count = context;

	while (going) {
		struct ayrei_checkpoint checkpoint;

		if (ayrei_reader_checkpoint(&reader, 0, &checkpoint) < 0)
			continue;
		require(checkpoint.sequence <= MESSAGES &&
		        checkpoint.position == positions[checkpoint.sequence]);
		++*ret_count;
		sched_yield();
	}
	return NULL;
}

static void begin_lane(void)
{
	struct ayrei_lane lane;
	void *mapped;
	int fd = memfd_create("lane", MFD_CLOEXEC);

	require(fd >= 0);
	require(ftruncate(fd, sizeof(struct ayrei_lane_layout) + RING_BYTES) == 0);
	require(ayrei_map_mirrored(fd, sizeof(struct ayrei_lane_layout), RING_BYTES, true,
	                           &mapped) == 0);
	close(fd);
	base = mapped;
	lane = lane_here();
	ayrei_lane_begin(&lane, lane.mask + 1, 0);
	cursor = positions[0] = lane.position;
	for (unsigned int i = 0; i < MESSAGES; i++)
		positions[i + 1] = ayrei_record_end(positions[i], size_of(i));
}

TOPIC_TEST(a_writer_and_a_reader_share_a_map)
{
	pthread_t writer, reader, looker;
	uint64_t checkpoints = 0;

	begin_lane();
	going = true;
	require(pthread_create(&reader, NULL, read_all, NULL) == 0);
	require(pthread_create(&looker, NULL, read_checkpoints, &checkpoints) == 0);
	for (unsigned int i = 0; i < MESSAGES; i += TERM) {
		require(pthread_create(&writer, NULL, write_a_term, &i) == 0);
		pthread_join(writer, NULL);
	}
	pthread_join(reader, NULL);
	going = false;
	pthread_join(looker, NULL);
	require(checkpoints > 0);
	ayrei_unmap(base, sizeof(struct ayrei_lane_layout) + 2 * RING_BYTES);
	return 0;
}

/* --- handles --- */

#define NAME       "t"
#define PUBLISHERS 2
#define READERS    2
#define EACH       (long_form() ? 50000u : 5000u)

static atomic_uint readers_ready, publishers_ready;

/* Some beside the ring. */
static size_t size_of_sent(unsigned int number)
{
	return number % 100 == 99 ? 3000 : size_of(number) % 600;
}

static void *publish_many(void *context)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(RING_BYTES)), NAME);

	(void)context;
	require(ayre_publisher_wait_subscribers(publisher, READERS, in_ms(60000)) == READERS);
	/* Or the readers would be told of an end when one of them has closed. */
	atomic_fetch_add(&publishers_ready, 1);
	while (publishers_ready < PUBLISHERS)
		pause_ns(MILLISECOND);
	for (unsigned int i = 0; i < EACH; i++) {
		send_pattern(publisher, size_of_sent(i), i);
		if (i % 512 == 511)
			pause_ns(MILLISECOND);
	}
	ayre_publisher_close(publisher);
	return NULL;
}

static void *receive_all(void *context)
{
	struct ayre_subscriber *subscriber = subscribe(
		SUBSCRIBER(RING(RING_BYTES), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), NAME);
	unsigned int count = 0;
	struct ayre_message message;
	char data[4096];
	ssize_t got;

	(void)context;
	atomic_fetch_add(&readers_ready, 1);
	while ((got = ayre_subscriber_receive(subscriber, data, sizeof(data), &message)) >= 0) {
		require(is_message(&message, size_of_sent((unsigned int)message.sequence),
		                   (uint32_t)message.sequence));
		count++;
	}
	require(got == -EPIPE && count == PUBLISHERS * EACH);
	ayre_subscriber_close(subscriber);
	return NULL;
}

TOPIC_TEST(handles_in_threads_share_a_topic)
{
	pthread_t publishers[PUBLISHERS], readers[READERS];

	readers_ready = publishers_ready = 0;
	for (int i = 0; i < READERS; i++)
		require(pthread_create(&readers[i], NULL, receive_all, NULL) == 0);
	while (readers_ready < READERS)
		pause_ns(MILLISECOND);
	for (int i = 0; i < PUBLISHERS; i++)
		require(pthread_create(&publishers[i], NULL, publish_many, NULL) == 0);
	for (int i = 0; i < PUBLISHERS; i++)
		pthread_join(publishers[i], NULL);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	remove_topic(NAME);
	return 0;
}

/* They come and go while others publish: what is global in the library is used by all. */
static void *come_and_go(void *context)
{
	const unsigned int *number = context;

	for (unsigned int i = 0; i < EACH / 50; i++) {
		if (*number % 2) {
			struct ayre_publisher *publisher =
				publish(PUBLISHER(RING(RING_BYTES)), NAME);

			send_number(publisher, i);
			ayre_publisher_close(publisher);
		} else {
			struct ayre_subscriber *subscriber =
				subscribe(SUBSCRIBER(RING(RING_BYTES)), NAME);
			uint64_t value;
			ssize_t got = ayre_subscriber_receive_until(subscriber, &value,
			                                            sizeof(value), NULL, in_ms(1));

			require(got == sizeof(value) || got == -ETIMEDOUT);
			ayre_subscriber_close(subscriber);
		}
	}
	return NULL;
}

TOPIC_TEST(handles_come_and_go_in_threads)
{
	unsigned int numbers[4];
	pthread_t threads[4];

	for (unsigned int i = 0; i < 4; i++) {
		numbers[i] = i;
		require(pthread_create(&threads[i], NULL, come_and_go, &numbers[i]) == 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_writer_and_a_reader_share_a_map),
		counted_test(handles_in_threads_share_a_topic),
		counted_test(handles_come_and_go_in_threads),
	};

	use_topic_root();
	return run_counted("thread", tests);
}
