/*
 * Messages by the kernel: the bare wakes, and pipes, sockets and queues with their best settings.
 *
 * Invariant: one call for each message and side, as for ours; what a peer cannot carry on this
 * machine is left out with the reason.
 */
#include "command/bench_topic.h"

#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static void close_both(struct topic_end *end)
{
	if (end->in >= 0)
		close(end->in);
	if (end->out >= 0 && end->out != end->in)
		close(end->out);
	end->in = end->out = -1;
}

/* --- the futex, by what the C library makes of it --- */

/* Each in a line of its own, where other ways have a word. */
static sem_t *semaphore_of(const struct topic_end *end, bool there)
{
	return (sem_t *)(void *)(there ? &end->lines->there : &end->lines->back);
}

static int make_semaphores(struct topic_end *near, struct topic_end *far)
{
	(void)far;
	return sem_init(semaphore_of(near, true), 1, 0) == -1 ||
	                       sem_init(semaphore_of(near, false), 1, 0) == -1
	               ? -errno
	               : 0;
}

TOPIC_INLINE int semaphore_send(struct topic_end *end)
{
	return sem_post(semaphore_of(end, end->is_near)) == -1 ? -errno : 0;
}

TOPIC_INLINE int semaphore_receive(struct topic_end *end)
{
	return sem_wait(semaphore_of(end, !end->is_near)) == -1 ? -errno : 0;
}

TOPIC_ROUND_TRIPS(semaphore, semaphore_send, semaphore_receive)

const struct topic_way bench_topic_semaphore = {
	.make = make_semaphores,
	.near = semaphore_near,
	.far = semaphore_far,
};

/* --- eventfd: a count of eight bytes --- */

static int make_eventfds(struct topic_end *near, struct topic_end *far)
{
	near->in = eventfd(0, EFD_CLOEXEC);
	near->out = eventfd(0, EFD_CLOEXEC);
	if (near->in < 0 || near->out < 0)
		return -errno;
	far->in = dup(near->out);
	far->out = dup(near->in);
	return far->in < 0 || far->out < 0 ? -errno : 0;
}

TOPIC_INLINE int word_send(struct topic_end *end)
{
	uint64_t one = 1;

	return write(end->out, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}

TOPIC_INLINE int word_receive(struct topic_end *end)
{
	uint64_t count;

	if (read(end->in, &count, sizeof(count)) != sizeof(count))
		return -errno;
	return count == 1 ? 0 : -EBADMSG;
}

TOPIC_ROUND_TRIPS(word, word_send, word_receive)

const struct topic_way bench_topic_eventfd = {
	.make = make_eventfds,
	.close = close_both,
	.near = word_near,
	.far = word_far,
};

/* --- bytes: pipes and stream sockets --- */

static int make_pipes(struct topic_end *near, struct topic_end *far)
{
	int there[2], back[2];

	if (pipe2(there, O_CLOEXEC) == -1 || pipe2(back, O_CLOEXEC) == -1)
		return -errno;
	/* As large as any user may have it; the default is 64 KiB. */
	(void)fcntl(there[0], F_SETPIPE_SZ, (int)MEBIBYTE);
	(void)fcntl(back[0], F_SETPIPE_SZ, (int)MEBIBYTE);
	near->in = back[0];
	near->out = there[1];
	far->in = there[0];
	far->out = back[1];
	return 0;
}

static int make_sockets(struct topic_end *near, struct topic_end *far, int type)
{
	int ends[2], bytes = (int)(4 * MEBIBYTE);

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == -1)
		return -errno;
	for (int i = 0; i < 2; i++)
		if (setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) == -1)
			(void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	near->in = near->out = ends[0];
	far->in = far->out = ends[1];
	return 0;
}

static int make_streams(struct topic_end *near, struct topic_end *far)
{
	return make_sockets(near, far, SOCK_STREAM);
}

/* A packet goes into the buffer as a whole, or not at all. */
static int make_packets(struct topic_end *near, struct topic_end *far)
{
	socklen_t length = sizeof(int);
	int bytes = 0, result = make_sockets(near, far, SOCK_SEQPACKET);

	if (result < 0)
		return result;
	if (getsockopt(near->out, SOL_SOCKET, SO_SNDBUF, &bytes, &length) == -1)
		return -errno;
	if ((uint64_t)bytes < near->message_bytes + 4096)
		near->left_out = "net.core.wmem_max allows no packet of this size";
	return 0;
}

TOPIC_INLINE int bytes_send(struct topic_end *end)
{
	const char *from = (const char *)end->message;
	uint64_t left = end->message_bytes;

	end->message[0] = end->sent++;
	while (left > 0) {
		ssize_t done = write(end->out, from, left);

		if (done < 0)
			return -errno;
		from += done;
		left -= (uint64_t)done;
	}
	return 0;
}

TOPIC_INLINE int bytes_receive(struct topic_end *end)
{
	char *to = (char *)end->buffer;
	uint64_t left = end->message_bytes;

	while (left > 0) {
		ssize_t done = read(end->in, to, left);

		if (done <= 0)
			return done < 0 ? -errno : -EPIPE;
		to += done;
		left -= (uint64_t)done;
	}
	return topic_check(end, end->buffer);
}

TOPIC_ROUND_TRIPS(bytes, bytes_send, bytes_receive)
TOPIC_STREAM(bytes_stream, bytes_send, bytes_receive)

const struct topic_way bench_topic_pipe = {
	.make = make_pipes,
	.close = close_both,
	.near = bytes_near,
	.far = bytes_far,
};

const struct topic_way bench_topic_pipe_stream = {
	.make = make_pipes,
	.close = close_both,
	.near = bytes_stream_near,
	.far = bytes_stream_far,
};

const struct topic_way bench_topic_socket = {
	.make = make_streams,
	.close = close_both,
	.near = bytes_near,
	.far = bytes_far,
};

const struct topic_way bench_topic_socket_stream = {
	.make = make_streams,
	.close = close_both,
	.near = bytes_stream_near,
	.far = bytes_stream_far,
};

const struct topic_way bench_topic_packets = {
	.make = make_packets,
	.close = close_both,
	.near = bytes_near,
	.far = bytes_far,
};

/* --- the same, by ends that spin --- */

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ? -errno : 0;
}

/* What is set is the open file's: the other side's descriptors have it too. */
static int make_spinning(struct topic_end *near, int result)
{
	if (result == 0)
		result = set_nonblocking(near->in);
	if (result == 0 && near->out != near->in)
		result = set_nonblocking(near->out);
	return result;
}

static int make_spinning_pipes(struct topic_end *near, struct topic_end *far)
{
	int result = make_spinning(near, make_pipes(near, far));

	return make_spinning(far, result);
}

static int make_spinning_streams(struct topic_end *near, struct topic_end *far)
{
	int result = make_spinning(near, make_streams(near, far));

	return make_spinning(far, result);
}

/* Seconds of nothing but system calls. */
#define CALLS_MAX (TOPIC_TURNS_MAX >> 6)

TOPIC_INLINE int spinning_send(struct topic_end *end)
{
	const char *from = (const char *)end->message;
	uint64_t left = end->message_bytes, turn = 0;

	end->message[0] = end->sent++;
	while (left > 0) {
		ssize_t done = write(end->out, from, left);

		if (done < 0 && (errno != EAGAIN || ++turn == CALLS_MAX))
			return -errno;
		if (done < 0)
			continue;
		from += done;
		left -= (uint64_t)done;
	}
	return 0;
}

TOPIC_INLINE int spinning_receive(struct topic_end *end)
{
	char *to = (char *)end->buffer;
	uint64_t left = end->message_bytes, turn = 0;

	while (left > 0) {
		ssize_t done = read(end->in, to, left);

		if (done == 0)
			return -EPIPE;
		if (done < 0 && (errno != EAGAIN || ++turn == CALLS_MAX))
			return -errno;
		if (done < 0)
			continue;
		to += done;
		left -= (uint64_t)done;
	}
	return topic_check(end, end->buffer);
}

TOPIC_ROUND_TRIPS(spinning, spinning_send, spinning_receive)

const struct topic_way bench_topic_pipe_spinning = {
	.make = make_spinning_pipes,
	.close = close_both,
	.near = spinning_near,
	.far = spinning_far,
};

const struct topic_way bench_topic_socket_spinning = {
	.make = make_spinning_streams,
	.close = close_both,
	.near = spinning_near,
	.far = spinning_far,
};

/* --- packets, both ends on one processor --- */

static int go_near(struct topic_end *end)
{
	return end->is_near ? 0 : bench_topic_bind(end->near_cpu);
}

static void go_far(struct topic_end *end)
{
	if (!end->is_near)
		(void)bench_topic_bind(end->far_cpu);
}

const struct topic_way bench_topic_packets_near = {
	.make = make_packets,
	.ready = go_near,
	.rest = go_far,
	.close = close_both,
	.near = bytes_near,
	.far = bytes_far,
};

const struct topic_way bench_topic_packets_stream = {
	.make = make_packets,
	.close = close_both,
	.near = bytes_stream_near,
	.far = bytes_stream_far,
};

/* --- POSIX message queues --- */

/* Without a name as soon as both ends have it. Deep if the system lets us, else the default of 10. */
static int open_queue(const struct topic_end *near, int *ret_in, int *ret_out)
{
	struct mq_attr attributes = {.mq_maxmsg = 1024, .mq_msgsize = (long)near->message_bytes};
	char name[64];

	snprintf(name, sizeof(name), "/ayre-bench-%d", getpid());
	*ret_out = mq_open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
	if (*ret_out < 0) {
		attributes.mq_maxmsg = 10;
		*ret_out =
			mq_open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
	}
	if (*ret_out < 0)
		return -errno;
	*ret_in = mq_open(name, O_RDONLY | O_CLOEXEC);
	mq_unlink(name);
	return *ret_in < 0 ? -errno : 0;
}

static int make_queues(struct topic_end *near, struct topic_end *far)
{
	if (open_queue(near, &far->in, &near->out) < 0 ||
	    open_queue(near, &near->in, &far->out) < 0)
		near->left_out = "the system gives no POSIX queue for messages of this size";
	return 0;
}

TOPIC_INLINE int queue_send(struct topic_end *end)
{
	end->message[0] = end->sent++;
	return mq_send(end->out, (const char *)end->message, end->message_bytes, 0) == -1 ? -errno
	                                                                                  : 0;
}

TOPIC_INLINE int queue_receive(struct topic_end *end)
{
	ssize_t got = mq_receive(end->in, (char *)end->buffer, end->message_bytes, NULL);

	if (got < 0)
		return -errno;
	return (uint64_t)got == end->message_bytes ? topic_check(end, end->buffer) : -EBADMSG;
}

TOPIC_ROUND_TRIPS(queue, queue_send, queue_receive)
TOPIC_STREAM(queue_stream, queue_send, queue_receive)

const struct topic_way bench_topic_queue = {
	.make = make_queues,
	.close = close_both,
	.near = queue_near,
	.far = queue_far,
};

const struct topic_way bench_topic_queue_stream = {
	.make = make_queues,
	.close = close_both,
	.near = queue_stream_near,
	.far = queue_stream_far,
};
