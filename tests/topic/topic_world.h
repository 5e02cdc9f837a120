/*
 * Topics in tests: options in one line, ends that have to open, and messages that tell who sent them
 * and whether all of them is there.
 *
 * A test that is declared with TOPIC_TEST() runs in a child of its own, which counts what it leaves
 * behind: it may use require(), change its limits or its user, and be killed by a deadline.
 */
#pragma once

#include "support/support.h"

#include <ayre/topic.h>

#define MILLISECOND INT64_C(1000000)
#define SECOND      (1000 * MILLISECOND)

#define TOPIC(...) \
	(&(struct ayre_topic_options){.size = sizeof(struct ayre_topic_options), __VA_ARGS__})
#define PUBLISHER(...) \
	(&(struct ayre_publisher_options){.size = sizeof(struct ayre_publisher_options), \
	                                  __VA_ARGS__})
#define SUBSCRIBER(...) \
	(&(struct ayre_subscriber_options){.size = sizeof(struct ayre_subscriber_options), \
	                                   __VA_ARGS__})
/* Of a ring of so many bytes, in the words before. */
#define RING(bytes) .topic = TOPIC(.ring_bytes = (bytes))

#define TOPIC_TEST(name) \
	static int name##_inside(void *context); \
	static void name(void **state) \
	{ \
		(void)state; \
		run_topic_test(name##_inside); \
	} \
	static int name##_inside(void *context __attribute__((unused)))
void run_topic_test(int (*body)(void *context));
/* return skipped("reason") from a body. */
int skipped(const char *reason);

/* They open, or the test has failed. */
struct ayre_publisher *publish(const struct ayre_publisher_options *options, const char *name);
struct ayre_subscriber *subscribe(const struct ayre_subscriber_options *options, const char *name);
/* They fail so, in full, and touch nothing. */
void fails_to_publish(const struct ayre_publisher_options *options, const char *name, int code);
void fails_to_subscribe(const struct ayre_subscriber_options *options, const char *name, int code);
void fails_to_create(const struct ayre_topic_options *options, const char *name, int code);
void remove_topic(const char *name);

/*
 * The number-th message of a sender: fill_pattern() of so many bytes, seeded by both. The check is by
 * what ayre says of it, so that a message that is taken for another one is found.
 */
void write_pattern(void *data, size_t bytes, uint32_t number);
void send_pattern(struct ayre_publisher *publisher, size_t bytes, uint32_t number);
bool is_message(const struct ayre_message *message, size_t bytes, uint32_t number);
/* Receives it; it has to be that one. */
void receive_pattern(struct ayre_subscriber *subscriber, size_t bytes, uint32_t number);
/* Eight bytes that are a number. */
void send_number(struct ayre_publisher *publisher, uint64_t number);
int try_send_number(struct ayre_publisher *publisher, uint64_t number);
uint64_t receive_number(struct ayre_subscriber *subscriber);
void nothing_is_there(struct ayre_subscriber *subscriber);
/* Until it is full; returns how many went. */
uint64_t fill_ring(struct ayre_publisher *publisher);

struct ayre_publisher_info info_of_publisher(const struct ayre_publisher *publisher);
struct ayre_subscriber_info info_of_subscriber(const struct ayre_subscriber *subscriber);

/* The path of a topic, or of a file in it, of those without a slash. */
const char *topic_path(const char *name, const char *file, char path[static NAME_BYTES]);
/* Files of a topic whose name begins so and ends after 16 digits and suffix; the last one's name. */
int count_peers(const char *name, const char *kind, const char *suffix,
                char last[static NAME_BYTES]);

int64_t in_ms(int64_t milliseconds); /* a deadline */
int64_t realtime_ns(void);           /* CLOCK_REALTIME */
void pause_ns(int64_t ns);
bool is_readable(int fd, int timeout_ms);
/* Of a victim. */
void wait_to_be_killed(void) __attribute__((noreturn));
/* Until the process sleeps in the kernel. */
void await_sleep(pid_t pid);

/* Another user: those of root's tests that need one. */
#define NOBODY 65534
void become(uid_t user, gid_t group);
