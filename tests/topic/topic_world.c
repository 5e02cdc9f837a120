/*
 * Topics in tests.
 *
 * Invariant: a body runs in a child, and the child is counted: what it opened it closed, and what it
 * made it removed.
 */
#include "topic/topic_world.h"

#include <dirent.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

/* --- bodies --- */

/* Shared: why a body was skipped. */
static char *reason;
#define REASON_BYTES 256

static int run_body(void *context)
{
	int (**body)(void *context) = context;
	struct counts before = take_counts(), after;
	const char *line;
	int result;

	limit_time(50);
	result = (*body)(NULL);
	after = take_counts();
	line = counts_differ(&after, &before);
	if (result == 0 && line)
		fprintf(stderr, "%s\n", line);
	return result == 0 && line ? 1 : result;
}

void run_topic_test(int (*body)(void *context))
{
	char why[REASON_BYTES];
	int status;

	reason = share_memory(REASON_BYTES);
	status = run_in_child(run_body, &body);
	snprintf(why, sizeof(why), "%s", reason);
	unshare_memory(reason, REASON_BYTES);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because(why);
	assert_exited(status);
}

int skipped(const char *why)
{
	snprintf(reason, REASON_BYTES, "%s", why);
	return CHILD_SKIPS;
}

/* --- ends --- */

static struct ayre_publisher *const no_publisher = (struct ayre_publisher *)&no_publisher;
static struct ayre_subscriber *const no_subscriber = (struct ayre_subscriber *)&no_subscriber;

static void require_opened(int result, const struct ayre_error *error, const char *name)
{
	if (result < 0)
		fprintf(stderr, "%s: %s: %s: %s\n", name, error->step, strerror(-result),
		        error->detail);
	require(result == 0);
}

struct ayre_publisher *publish(const struct ayre_publisher_options *options, const char *name)
{
	struct ayre_publisher *publisher = no_publisher;
	struct ayre_error error = {0};

	require_opened(ayre_publisher_open(options, name, &publisher, &error), &error, name);
	require(publisher != no_publisher);
	return publisher;
}

struct ayre_subscriber *subscribe(const struct ayre_subscriber_options *options, const char *name)
{
	struct ayre_subscriber *subscriber = no_subscriber;
	struct ayre_error error = {0};

	require_opened(ayre_subscriber_open(options, name, &subscriber, &error), &error, name);
	require(subscriber != no_subscriber);
	return subscriber;
}

static void require_failure(int result, int code, const struct ayre_error *error, const char *name)
{
	if (result != code)
		fprintf(stderr, "%s: %d (%s: %s), not %d\n", name ? name : "NULL", result,
		        error->step, error->detail, code);
	require(result == code);
	require(error->code == code);
	require(error->step[0]);
}

void fails_to_publish(const struct ayre_publisher_options *options, const char *name, int code)
{
	struct ayre_publisher *publisher = no_publisher;
	struct ayre_error error = {0};

	require_failure(ayre_publisher_open(options, name, &publisher, &error), code, &error, name);
	require(publisher == no_publisher);
	require(ayre_publisher_open(options, name, &publisher, NULL) == code);
}

void fails_to_subscribe(const struct ayre_subscriber_options *options, const char *name, int code)
{
	struct ayre_subscriber *subscriber = no_subscriber;
	struct ayre_error error = {0};

	require_failure(ayre_subscriber_open(options, name, &subscriber, &error), code, &error,
	                name);
	require(subscriber == no_subscriber);
	require(ayre_subscriber_open(options, name, &subscriber, NULL) == code);
}

void fails_to_create(const struct ayre_topic_options *options, const char *name, int code)
{
	struct ayre_error error = {0};

	require_failure(ayre_topic_create(options, name, &error), code, &error, name);
	require(ayre_topic_create(options, name, NULL) == code);
}

void remove_topic(const char *name)
{
	struct ayre_error error = {0};
	int result = ayre_topic_remove(name, false, &error);

	require_opened(result, &error, name);
}

/* --- messages --- */

static uint32_t seed_of(size_t bytes, uint32_t number)
{
	return number * 40503u + (uint32_t)bytes;
}

void write_pattern(void *data, size_t bytes, uint32_t number)
{
	fill_pattern(data, bytes, seed_of(bytes, number));
}

void send_pattern(struct ayre_publisher *publisher, size_t bytes, uint32_t number)
{
	char *data = malloc(bytes + 1);
	int result;

	write_pattern(data, bytes, number);
	result = ayre_publisher_send(publisher, data, bytes);
	require(result == 0);
	free(data);
}

bool is_message(const struct ayre_message *message, size_t bytes, uint32_t number)
{
	return message->bytes == bytes && is_pattern(message->data, bytes, seed_of(bytes, number));
}

void receive_pattern(struct ayre_subscriber *subscriber, size_t bytes, uint32_t number)
{
	struct ayre_message message;
	char *data = malloc(bytes + 1);
	ssize_t got = ayre_subscriber_receive(subscriber, data, bytes, &message);

	if (got != (ssize_t)bytes)
		fprintf(stderr, "message %u: %zd, not %zu (of %zu bytes by %llx)\n", number, got,
		        bytes, (size_t)message.bytes, (unsigned long long)message.publisher);
	require(got == (ssize_t)bytes);
	require(message.data == data);
	require(is_message(&message, bytes, number));
	free(data);
}

void send_number(struct ayre_publisher *publisher, uint64_t number)
{
	require(ayre_publisher_send(publisher, &number, sizeof(number)) == 0);
}

int try_send_number(struct ayre_publisher *publisher, uint64_t number)
{
	return ayre_publisher_try_send(publisher, &number, sizeof(number));
}

uint64_t receive_number(struct ayre_subscriber *subscriber)
{
	uint64_t number;

	require(ayre_subscriber_receive(subscriber, &number, sizeof(number), NULL) ==
	        sizeof(number));
	return number;
}

void nothing_is_there(struct ayre_subscriber *subscriber)
{
	char byte;

	require(ayre_subscriber_try_receive(subscriber, &byte, 1, NULL) == -EAGAIN);
}

uint64_t fill_ring(struct ayre_publisher *publisher)
{
	uint64_t count = 0;
	int result;

	while ((result = try_send_number(publisher, count)) == 0)
		count++;
	require(result == -EAGAIN);
	return count;
}

struct ayre_publisher_info info_of_publisher(const struct ayre_publisher *publisher)
{
	struct ayre_publisher_info info = {.size = sizeof(info)};

	require(ayre_publisher_get_info(publisher, &info) == 0);
	return info;
}

struct ayre_subscriber_info info_of_subscriber(const struct ayre_subscriber *subscriber)
{
	struct ayre_subscriber_info info = {.size = sizeof(info)};

	require(ayre_subscriber_get_info(subscriber, &info) == 0);
	return info;
}

/* --- files --- */

const char *topic_path(const char *name, const char *file, char path[static NAME_BYTES])
{
	snprintf(path, NAME_BYTES, "%s/%s%s%s", topic_root(), name, *file ? "/" : "", file);
	return path;
}

int count_peers(const char *name, const char *kind, const char *suffix,
                char last[static NAME_BYTES])
{
	char path[NAME_BYTES];
	DIR *directory = opendir(topic_path(name, "", path));
	const struct dirent *entry;
	int count = 0;

	require(directory);
	while ((entry = readdir(directory))) {
		if (strncmp(entry->d_name, kind, strlen(kind)) != 0 ||
		    strlen(entry->d_name) != strlen(kind) + 16 + strlen(suffix) ||
		    strcmp(entry->d_name + strlen(kind) + 16, suffix) != 0)
			continue;
		count++;
		snprintf(last, NAME_BYTES, "%s", entry->d_name);
	}
	closedir(directory);
	return count;
}

/* --- time --- */

int64_t in_ms(int64_t milliseconds)
{
	return now_ns() + milliseconds * MILLISECOND;
}

int64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

void pause_ns(int64_t ns)
{
	nanosleep(&(struct timespec){ns / SECOND, ns % SECOND}, NULL);
}

bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int ready = poll(&poll_fd, 1, timeout_ms);

	require(ready >= 0 && (ready == 0 || poll_fd.revents & POLLIN));
	return ready == 1;
}

void wait_to_be_killed(void)
{
	for (;;)
		pause();
}

void await_sleep(pid_t pid)
{
	char path[64], line[512], state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int in_a_row = 0; in_a_row < 3; in_a_row += state == 'S') {
		FILE *file = fopen(path, "re");
		const char *end =
			file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;

		require(end);
		state = end[2];
		require(state != 'Z');
		fclose(file);
		pause_ns(MILLISECOND / 2);
	}
}

/* --- users --- */

void become(uid_t user, gid_t group)
{
	require(setgroups(0, NULL) == 0);
	require(setresgid(group, group, group) == 0);
	require(setresuid(user, user, user) == 0);
	/* Who becomes another user has to ask anew. */
	require(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
}
