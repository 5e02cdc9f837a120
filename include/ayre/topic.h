/*
 * Topics: messages from any number of publishers to any number of subscribers.
 *
 * A topic is a directory; a name without a slash is one under AYRE_DIR, by default
 * /dev/shm/ayre-UID, which is this user's alone. Each publisher has a ring there that it alone can
 * write (its lane), each subscriber a page that it alone can write (its cursor), and there is
 * nothing else: no daemon, no lock, nobody whose death another has to wait for.
 *
 *  - What one publisher sends arrives in its order, whole, and once. Between
 *    publishers there is no order.
 *  - A *reliable* topic (the default): a publisher waits for the slowest live subscriber
 *    whose owner may publish; one that died is passed over at once. A *lossy* topic, or a
 *    lossy subscriber of a reliable one: the publisher never waits, a subscriber that was
 *    overtaken is told how many messages it missed, and it never gets a torn one.
 *  - Nobody makes a system call to send to, or receive from, who is awake.
 *  - A message is kept until its bytes are needed for another, also when its publisher
 *    has gone: subscribers that come late can ask for what is still there. The next
 *    publisher of the same user goes on in the lane that an earlier one has left.
 *  - A peer that lies costs its own messages: see ayre(7).
 *
 * The backing decides what survives. A topic whose directory is in memory is gone with the machine. One on a disk
 * is *durable*: what is published is also carried into a log there, and read from it by the same calls.
 *
 *  - Three things can be said of a message, one after the other: subscribers see it; it is
 *    kept, if its publisher dies (it is in the ring, which outlives it, or in the log); it is
 *    *safe*, whatever becomes of the machine. When the last is said, the topic's sync decides.
 *  - Subscribers who come late, or are slow, read from the log what the ring no longer has: nobody
 *    is waited for, and nothing is missed but what retention has given up.
 *  - What is damaged on the disk is never taken for a message: it is told.
 *
 * The rings, cursors and bells of a durable topic are in /dev/shm/ayre-log-UID-... and made anew when they are
 * missing.
 *
 * A handle belongs to one thread at a time, and to the process that opened it. A child of fork(2)
 * must not use its copy, nor close it, nor any descriptor it has: it leaves it alone, and may open
 * handles of its own, call exec, or end. When the parent closes a handle, that ends at once, and everybody
 * is told, whatever children there are. When the parent dies, nobody is told before each child that has
 * a copy has called exec or ended: what keeps the parent alive is in it too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <ayre/api.h>
#include <ayre/error.h>

AYRE_BEGIN_DECLARATIONS

/* Open ends, local to this process. */
struct ayre_publisher;
struct ayre_subscriber;

/* The longest tag of a topic, in bytes, without its NUL. */
#define AYRE_TOPIC_TAG_MAX 191

/* --- the topic --- */

enum ayre_topic_flags {
	/* Publishers never wait: who is too slow misses messages, and is told how many. */
	AYRE_TOPIC_LOSSY = 1u << 0,
	/* ayre_topic_create(): fail with -EEXIST if it is there. */
	AYRE_TOPIC_EXCLUSIVE = 1u << 1,
	/* It has to be on a disk: -EOPNOTSUPP otherwise. */
	AYRE_TOPIC_DURABLE = 1u << 2,
};

/* When what was published to a durable topic is safe, whatever becomes of the machine. */
enum ayre_topic_sync {
	AYRE_TOPIC_SYNC_DEFAULT = 0, /* GROUP */
	/*
	 * When the kernel gets to it, in some order, unless it is asked for: a machine that ends takes the last half a
	 * minute with it, and what is missing between others is told of as damage. It is a log all the same.
	 */
	AYRE_TOPIC_SYNC_NONE = 1,
	/*
	 * When somebody wants it to be: ayre_publisher_sync(), ayre_publisher_wait_safe(), closing. One flush is
	 * for all that was sent by then.
	 */
	AYRE_TOPIC_SYNC_GROUP = 2,
	/*
	 * Before the call that sends it returns. If the disk has no room it fails with -ENOSPC before it is sent, but
	 * not with AYRE_PUBLISHER_THREAD: then, and whenever a flush fails, it is in the topic and not safe.
	 */
	AYRE_TOPIC_SYNC_EACH = 3,
};

/* What a topic is, fixed when it is made. Set size to sizeof(struct ayre_topic_options). */
struct ayre_topic_options {
	size_t size;
	uint32_t flags; /* enum ayre_topic_flags */
	/*
	 * Who may subscribe (r) and publish (w), of 0666; 0: 0600. w needs r. Not subject
	 * to the umask. A subscriber that may not publish never makes a publisher wait.
	 */
	uint32_t mode;
	/*
	 * Bytes of each publisher's ring; rounded up to a power of two, at least 4096; 0: 1 MiB.
	 * A message of more than a quarter of it travels beside it.
	 */
	uint64_t ring_bytes;
	/*
	 * What the messages are: 1 to AYRE_TOPIC_TAG_MAX bytes, borrowed. Who opens the topic with
	 * another tag gets -EMEDIUMTYPE; who gives none opens any.
	 */
	const char *tag;
	/* --- of a durable topic --- */
	uint32_t sync;     /* enum ayre_topic_sync */
	uint32_t reserved; /* 0 */
	/*
	 * Bytes of a lane in one file of its log, an extent: 64 KiB to 1 TiB, at least the ring's; 0: 64 MiB. So
	 * much is allocated ahead, and so much at once is given up by retention.
	 */
	uint64_t extent_bytes;
	/*
	 * What retention gives up of each lane, whole extents, the oldest first and never the last: one that has so many
	 * bytes behind it goes, and so does one whose successor was begun so long ago (in nanoseconds). Either is reason
	 * enough: with both set, what one of them would keep may go by the other. That is looked at when a publisher
	 * begins another extent or opens. 0: no reason.
	 */
	uint64_t retain_bytes;
	int64_t retain_age_ns;
};

/**
 * ayre_topic_create() - make a topic, if it is missing
 * @options: borrowed; NULL means all zero
 * @name: a word (letters, digits, "._-", not first a dot), or a path with a slash; borrowed
 *
 * Seldom needed: to publish or subscribe makes a missing topic too. It appears whole, however
 * many make it at once.
 *
 * Returns 1 if this call made it, 0 if it was there, or
 *   -EEXIST       EXCLUSIVE, and it is there
 *   -EMEDIUMTYPE  it has another tag
 *   -EPROTO       something else has the name, or its description is damaged
 *   -EPROTONOSUPPORT  it was made by a newer ayre that changed what this one has to know
 *   -EOPNOTSUPP   DURABLE, and the directory is in memory
 *   -EINVAL       a name, size or mode that can never be right, or an unknown flag
 *   -ENOSPC, -EACCES, -ENOENT (no such directory to make it in), ...
 * Since 0.1.
 */
int ayre_topic_create(const struct ayre_topic_options *options, const char *name,
                      struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_topic_remove() - remove a topic with the messages in it
 * @force: also if it is in use; those who use it go on among themselves, unseen by others
 *
 * A damaged one, too. Returns 0, -ENOENT, -EBUSY: live publishers or subscribers use it, -EPROTO: it
 * is no topic, -ENOTEMPTY: something else lies in it, be it a directory by the name of a file of its
 * own (in all these cases nothing was removed); or a negative errno of unlink(2). Since 0.1.
 */
int ayre_topic_remove(const char *name, bool force, struct ayre_error *error) AYRE_MUST_CHECK;

/* --- publishing --- */

enum ayre_publisher_flags {
	/* The topic has to be there: -ENOENT otherwise. */
	AYRE_PUBLISHER_EXISTING = 1u << 0,
	/* Each message carries the time (CLOCK_REALTIME) at which it was sent; about 25 ns each. */
	AYRE_PUBLISHER_STAMP = 1u << 1,
	/*
	 * Of a durable topic: a thread of the library's carries messages to the disk and flushes them all the time
	 * (but for AYRE_TOPIC_SYNC_NONE, unless it is asked to), so that sending waits for the disk only where
	 * each has to be safe, or the ring is full. It takes no signal. Of another topic it does nothing.
	 */
	AYRE_PUBLISHER_THREAD = 1u << 2,
};

struct ayre_publisher_options {
	size_t size;
	uint32_t flags; /* enum ayre_publisher_flags */
	/* How to make the topic if it is missing; its tag is checked if it is not. NULL: the defaults. */
	const struct ayre_topic_options *topic;
	int64_t spin_ns; /* AYRE_SPIN_..., or a number of nanoseconds */
	/*
	 * Bytes of messages beside the ring that may be on their way at once; a single one may be
	 * larger. 0: 64 MiB, or four rings if that is more.
	 */
	uint64_t large_bytes;
};

/**
 * ayre_publisher_open() - begin to publish
 * @options: borrowed; NULL means all zero
 * @name: of the topic
 * @ret_publisher: to be closed with ayre_publisher_close()
 *
 * Returns 0, or what ayre_topic_create() returns, or
 *   -ENOSPC          no room for a ring
 *   -EACCES          this user may not publish there
 *   -EMFILE, -ENOMEM
 * Since 0.1.
 */
int ayre_publisher_open(const struct ayre_publisher_options *options, const char *name,
                        struct ayre_publisher **ret_publisher, struct ayre_error *error)
	AYRE_MUST_CHECK;

/**
 * ayre_publisher_close() - say that no more will come, and let go
 *
 * What was sent can still be received. NULL does nothing. Since 0.1.
 */
void ayre_publisher_close(struct ayre_publisher *publisher);

/**
 * ayre_publisher_send() - send a copy, waiting for room
 * ayre_publisher_try_send() - the same without waiting: -EAGAIN
 * ayre_publisher_send_until() - the same, until @deadline_ns (absolute, CLOCK_MONOTONIC)
 * @bytes: 0 or more; borrowed
 *
 * Returns 0, or
 *   -EAGAIN     try: a live subscriber has to read first
 *   -ETIMEDOUT  until: so it was until the deadline
 *   -EMSGSIZE   larger than ayre_publisher_message_max()
 *   -ENOSPC     no room on the file system for a message beside the ring, or for another extent of a log: it was
 *               not sent, unless ayre_topic_sync says so
 *   -EIO, ...   of a durable topic: a flush has failed, see ayre_publisher_sync()
 *   -EMFILE     a subscriber came, and no descriptor is left to know it by: nothing was sent
 * Since 0.1.
 */
int ayre_publisher_send(struct ayre_publisher *publisher, const void *data, size_t bytes)
	AYRE_MUST_CHECK;
int ayre_publisher_try_send(struct ayre_publisher *publisher, const void *data, size_t bytes)
	AYRE_MUST_CHECK;
int ayre_publisher_send_until(struct ayre_publisher *publisher, const void *data, size_t bytes,
                              int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_publisher_send_batch() - send several, which appear at once
 * @messages: borrowed
 *
 * In order, the first, for which it waits for room, and as many as fit into the room at hand then: some
 * sixteenth of the ring. The rest is for the next call.
 *
 * Returns the number sent, at least 1 if @count is not 0; or as ayre_publisher_send(). Since 0.1.
 */
ssize_t ayre_publisher_send_batch(struct ayre_publisher *publisher, const struct iovec *messages,
                                  size_t count) AYRE_MUST_CHECK;

/**
 * ayre_publisher_reserve() - room for a message, to be written in place
 * ayre_publisher_try_reserve(), ayre_publisher_reserve_until() - likewise
 * @bytes: the most that the message will have
 * @ret_data: 8-byte aligned; what was there before is undefined. Valid until the
 *	next call with this publisher
 *
 * Nobody sees it before ayre_publisher_commit(). Any other call than that gives it up.
 *
 * Returns as ayre_publisher_send(). Since 0.1.
 */
int ayre_publisher_reserve(struct ayre_publisher *publisher, size_t bytes, void **ret_data)
	AYRE_MUST_CHECK;
int ayre_publisher_try_reserve(struct ayre_publisher *publisher, size_t bytes, void **ret_data)
	AYRE_MUST_CHECK;
int ayre_publisher_reserve_until(struct ayre_publisher *publisher, size_t bytes, void **ret_data,
                                 int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_publisher_commit() - send what was written into the reserved room
 * @bytes: at most as many as were reserved
 *
 * Never waits. Returns 0, or -EINVAL: nothing is reserved, or not that much (it then stays reserved);
 * or what making a message beside the ring visible failed with: it was not sent. Since 0.1.
 */
int ayre_publisher_commit(struct ayre_publisher *publisher, size_t bytes) AYRE_MUST_CHECK;

/**
 * ayre_publisher_wait_subscribers() - wait until so many live subscribers are known
 * @deadline_ns: absolute, CLOCK_MONOTONIC; 0: do not wait
 *
 * Each of them is sent what is sent from then on, also if it has not returned from its opening yet.
 * Lossy ones are among them.
 *
 * Returns the number of them, -ETIMEDOUT, or a negative errno of looking. Since 0.1.
 */
int ayre_publisher_wait_subscribers(struct ayre_publisher *publisher, unsigned int count,
                                    int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_publisher_sync() - make safe all that was sent: on the disk, whatever becomes of the machine
 *
 * One flush for all of it; nothing to do if it is safe already.
 *
 * Returns 0, or
 *   -EOPNOTSUPP  the topic is not durable
 *   -ENOSPC      no room for another extent of the log; what was sent stays in the ring and can be read;
 *                sending, and this, go on when there is room
 *   -EIO, -ENOSPC, ...  the flush failed. What was not safe before may never be, the kernel does not say; it
 *                is not tried again, and from then on nothing can be sent. Close, and open again: what the
 *                ring and the log have is written anew
 * Since 0.1.
 */
int ayre_publisher_sync(struct ayre_publisher *publisher) AYRE_MUST_CHECK;

/**
 * ayre_publisher_wait_safe() - wait until a message is safe
 * @sequence: its number in the lane: ayre_publisher_info.messages before it was sent
 * @deadline_ns: absolute, CLOCK_MONOTONIC; a flush that was begun is not cut short by it
 *
 * With AYRE_PUBLISHER_THREAD, others can be sent meanwhile, and one flush is for all that were by its beginning.
 * Without it the call flushes by itself, which takes as long as the disk does: the deadline is not looked at.
 *
 * Returns 0, -EINVAL: that was not sent yet, -ETIMEDOUT, or as ayre_publisher_sync(). Since 0.1.
 */
int ayre_publisher_wait_safe(struct ayre_publisher *publisher, uint64_t sequence,
                             int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_publisher_safe_messages() - how many messages of the lane are safe: all with a lower number
 *
 * Or what ayre_publisher_sync() would fail with for good, or -EOPNOTSUPP. Since 0.1.
 */
int64_t ayre_publisher_safe_messages(struct ayre_publisher *publisher) AYRE_MUST_CHECK;

/**
 * ayre_publisher_safe_fd() - readable when more is safe, or a flush failed, for poll or an event loop
 *
 * With AYRE_PUBLISHER_THREAD: -EOPNOTSUPP otherwise. Readable until ayre_publisher_safe_messages() or
 * ayre_publisher_wait_safe() has been called. The same for the handle's life; borrowed. Since 0.1.
 */
int ayre_publisher_safe_fd(struct ayre_publisher *publisher) AYRE_MUST_CHECK;

/** ayre_publisher_message_max() - the largest message that can be sent, in bytes. Since 0.1. */
uint64_t ayre_publisher_message_max(const struct ayre_publisher *publisher);

/**
 * ayre_publisher_fd() - the descriptor to wait with for room, in poll, epoll or an event loop
 *
 * After a try_ call has returned -EAGAIN it becomes readable when another attempt is due, and stays
 * so until an attempt returns -EAGAIN again: listen to it only while there is something to send.
 * Level-triggered; the same for the handle's life; borrowed. Or a negative errno. Since 0.1.
 */
int ayre_publisher_fd(struct ayre_publisher *publisher) AYRE_MUST_CHECK;

struct ayre_publisher_info {
	size_t size;
	uint64_t id;       /* of its lane */
	uint64_t messages; /* sent in this lane so far, by its earlier publishers too */
	uint64_t ring_bytes;
	uint32_t subscribers;   /* that were live when last looked */
	uint64_t wakes;         /* times that a sleeping subscriber was woken: system calls made */
	uint64_t waits;         /* times that it slept, waiting for room */
	uint64_t safe_messages; /* of a durable topic: all that have a lower number are safe */
	uint32_t sync;          /* enum ayre_topic_sync; 0: it is not durable */
};

/** ayre_publisher_get_info() - 0, or -EINVAL if the struct's size is not set. Since 0.1. */
int ayre_publisher_get_info(const struct ayre_publisher *publisher,
                            struct ayre_publisher_info *ret_info) AYRE_MUST_CHECK;

/* --- subscribing --- */

enum ayre_subscriber_flags {
	/* The topic has to be there: -ENOENT otherwise. */
	AYRE_SUBSCRIBER_EXISTING = 1u << 0,
	/* Nobody waits for this one: it may miss messages. */
	AYRE_SUBSCRIBER_LOSSY = 1u << 1,
	/*
	 * Receiving ends: when every publisher that was seen, one at least, has closed and all is
	 * received, with -EPIPE; if one of them died without closing, with -EOWNERDEAD. One that takes
	 * the lane of one that closed, and dies before it has sent anything, counts as closed. If
	 * another comes after the end, receiving goes on.
	 */
	AYRE_SUBSCRIBER_UNTIL_CLOSED = 1u << 2,
	/* Of a durable topic, receives what is safe and nothing beyond. -EOPNOTSUPP of another. */
	AYRE_SUBSCRIBER_SAFE_ONLY = 1u << 3,
};

/*
 * Where to begin with what publishers had sent before; of lanes that are made later, all is received.
 * What is older than whatever is still there is not counted as missed. A publisher in full stream can
 * overtake a newcomer once, before it has seen it: that is counted.
 */
enum ayre_from {
	AYRE_FROM_NEXT = 0,   /* what is sent from now on */
	AYRE_FROM_OLDEST = 1, /* whatever is still there */
	/*
	 * from_value: of each publisher the message with this number, or the oldest after it; if it is
	 * yet to be sent, what is sent from now on, whatever its number.
	 */
	AYRE_FROM_SEQUENCE = 2,
	/*
	 * from_value: what was sent at this time, CLOCK_REALTIME in ns, or later; if it is yet to come,
	 * what is sent from now on, also before it. Messages without a stamp are known by the time at
	 * which their sixteenth of the ring was begun, so up to so much more is received.
	 */
	AYRE_FROM_TIME = 3,
};

struct ayre_subscriber_options {
	size_t size;
	uint32_t flags; /* enum ayre_subscriber_flags */
	uint32_t from;  /* enum ayre_from */
	int64_t from_value;
	const struct ayre_topic_options *topic; /* as for publishers */
	/*
	 * AYRE_SPIN_..., or a number of nanoseconds. receive() and peek() that wait and have caught up
	 * with eight messages or more, which came faster than they were read, first stay away for up to
	 * 8 microseconds, and less than they may spin, so that more of them gather: a stream gets twice
	 * as fast by it. Who wants each message at once says AYRE_SPIN_FOREVER.
	 */
	int64_t spin_ns;
};

/**
 * ayre_subscriber_open() - begin to subscribe
 *
 * Errors as ayre_publisher_open(). Since 0.1.
 */
int ayre_subscriber_open(const struct ayre_subscriber_options *options, const char *name,
                         struct ayre_subscriber **ret_subscriber, struct ayre_error *error)
	AYRE_MUST_CHECK;

/** ayre_subscriber_close() - let go; NULL does nothing. Since 0.1. */
void ayre_subscriber_close(struct ayre_subscriber *subscriber);

struct ayre_message {
	const void
		*data; /* peek: valid until the message is released; receive: the caller's buffer */
	uint64_t bytes;
	uint64_t publisher; /* the lane it came by */
	uint64_t sequence;  /* its number in that lane, from 0: a gap is what was missed */
	int64_t time_ns;    /* CLOCK_REALTIME when it was sent; -1: its publisher does not stamp */
};

/**
 * ayre_subscriber_receive() - take a copy of the next message, waiting for one
 * ayre_subscriber_try_receive() - the same without waiting: -EAGAIN
 * ayre_subscriber_receive_until() - the same, until @deadline_ns (absolute, CLOCK_MONOTONIC)
 * @buffer: borrowed; @buffer_bytes of room
 * @ret_message: what is known of it; may be NULL. Also set with -EMSGSIZE
 *
 * The copy is checked after it was made: it is what the publisher sent, or no
 * message at all.
 *
 * Returns the message's size, or
 *   -EAGAIN      try: there is none now
 *   -ETIMEDOUT   until: there was none until the deadline
 *   -EMSGSIZE    it is larger than @buffer_bytes; it stays, and ret_message->bytes is its size
 *   -EPIPE, -EOWNERDEAD  with UNTIL_CLOSED: the end
 *   -EPROTO      a publisher broke the format: its lane is left alone from now on, told once;
 *                the others go on
 *   -EBADMSG     messages of a durable topic are damaged on the disk: told once, and counted as
 *                missed; ayre_subscriber_get_info() says which. The next call goes on behind them
 *   -EMFILE, -ENOMEM  a new publisher cannot be listened to; those known go on, told once for each
 * Since 0.1.
 */
ssize_t ayre_subscriber_receive(struct ayre_subscriber *subscriber, void *buffer,
                                size_t buffer_bytes, struct ayre_message *ret_message)
	AYRE_MUST_CHECK;
ssize_t ayre_subscriber_try_receive(struct ayre_subscriber *subscriber, void *buffer,
                                    size_t buffer_bytes, struct ayre_message *ret_message)
	AYRE_MUST_CHECK;
ssize_t ayre_subscriber_receive_until(struct ayre_subscriber *subscriber, void *buffer,
                                      size_t buffer_bytes, struct ayre_message *ret_message,
                                      int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_subscriber_peek() - look at the next message in place, waiting for one
 * ayre_subscriber_try_peek(), ayre_subscriber_peek_until() - likewise
 *
 * No copy is made: the bytes are the publisher's. They are bounded, but a publisher that is
 * hostile, or that does not wait for this subscriber, can change them meanwhile: do not check and
 * then use; ayre_subscriber_release() tells whether the message stood still. Until then it
 * stays the next message.
 *
 * Returns 0, or a negative errno as ayre_subscriber_receive(). Since 0.1.
 */
int ayre_subscriber_peek(struct ayre_subscriber *subscriber, struct ayre_message *ret_message)
	AYRE_MUST_CHECK;
int ayre_subscriber_try_peek(struct ayre_subscriber *subscriber, struct ayre_message *ret_message)
	AYRE_MUST_CHECK;
int ayre_subscriber_peek_until(struct ayre_subscriber *subscriber, struct ayre_message *ret_message,
                               int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_subscriber_try_peek_batch() - look at several messages in place
 * @messages: room for @most
 *
 * Messages of one publisher that follow each other: as many as are there, but no more than half
 * a ring, and one that lies beside the ring alone. ayre_subscriber_release() releases all of them.
 *
 * Returns their number, at least 1, or a negative errno. Since 0.1.
 */
ssize_t ayre_subscriber_try_peek_batch(struct ayre_subscriber *subscriber,
                                       struct ayre_message *messages, size_t most) AYRE_MUST_CHECK;

/**
 * ayre_subscriber_release() - done with what was peeked
 *
 * Returns 0; -ESTALE: some of it was overwritten while it was looked at (it then counts as
 * missed), or its publisher cut the file short; -EINVAL: nothing was peeked. Since 0.1.
 */
int ayre_subscriber_release(struct ayre_subscriber *subscriber) AYRE_MUST_CHECK;

/**
 * ayre_subscribers_wait() - wait until one of several subscribers has something to tell
 * @subscribers: borrowed
 * @deadline_ns: absolute, CLOCK_MONOTONIC
 *
 * Returns the index of one whose try_ call will not return -EAGAIN, or -ETIMEDOUT, or -EINVAL: @count
 * is 0 or more than 64. Those with low numbers do not keep those with high ones from being
 * found. Since 0.1.
 */
int ayre_subscribers_wait(struct ayre_subscriber *const *subscribers, size_t count,
                          int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_subscriber_fd() - the descriptor to wait with, in poll, epoll or an event loop
 *
 * Readable while a try_ call has something to do. Level-triggered; the same for the handle's
 * life; borrowed. It may be readable for nothing. Only an attempt that has returned -EAGAIN makes it
 * wait again: try until then, or leave the rest for the loop's next turn. After a call that
 * waited by itself, try before you wait with it. Or a negative errno. Since 0.1.
 */
int ayre_subscriber_fd(struct ayre_subscriber *subscriber) AYRE_MUST_CHECK;

struct ayre_subscriber_info {
	size_t size;
	uint64_t id;
	uint64_t received;          /* messages */
	uint64_t missed;            /* messages that were overwritten before they were read */
	uint32_t publishers;        /* lanes known, whoever has left them */
	uint32_t publishers_live;   /* of these: somebody publishes, as far as was looked */
	uint32_t publishers_lost;   /* that died without closing, also if others took their lanes */
	uint32_t publishers_broken; /* that have broken the format */
	uint64_t lost_publisher;    /* one that was lost, and its last message; UINT64_MAX: none */
	uint64_t lost_sequence;
	uint64_t sleeps; /* times that it went to sleep */
	/* 1: publishers wait for it. 0: it may miss messages: its wish, the topic's, or it may not publish */
	uint32_t waited_for;
	uint64_t broken_publisher; /* the last that broke the format; UINT64_MAX: none */
	/*
	 * Of a durable topic, the last damage that was told of: in whose log (UINT64_MAX: none), and which messages were passed over,
	 * from the first on and before the end. Both are the same if nothing can be read behind it.
	 */
	uint64_t damaged_publisher, damaged_first, damaged_end;
};

/** ayre_subscriber_get_info() - 0, or -EINVAL if the struct's size is not set. Since 0.1. */
int ayre_subscriber_get_info(const struct ayre_subscriber *subscriber,
                             struct ayre_subscriber_info *ret_info) AYRE_MUST_CHECK;

/* --- without a name --- */

/*
 * The other end of a lane that has no name: descriptors, close-on-exec, to be handed to another
 * process (over fork, by ayre_process_start(), by SCM_RIGHTS).
 */
#define AYRE_ENDS_COUNT 4
struct ayre_ends {
	int fds[AYRE_ENDS_COUNT];
};

/**
 * ayre_publisher_open_pair() - a lane to one subscriber, who gets descriptors and no name
 * ayre_subscriber_open_pair() - a lane from one publisher, likewise
 * @options: borrowed; of options->topic, the flags and ring_bytes count
 * @ret_ends: for the other process; close them here with ayre_ends_close() once they are there
 *
 * The subscriber's end of the lane cannot be written, by whatever it does with its descriptors
 * (sealed); sizes are sealed too. That the other process has ended is known by its descriptors, so
 * close this process's copies; and a child of fork(2) that takes its end without exec has this
 * process's as well, and is not told of this process's end. Messages: up to a quarter of the ring.
 *
 * Returns 0, -ENOMEM: a ring larger than what the machine has to give, or another negative errno. Since 0.1.
 */
int ayre_publisher_open_pair(const struct ayre_publisher_options *options,
                             struct ayre_publisher **ret_publisher, struct ayre_ends *ret_ends,
                             struct ayre_error *error) AYRE_MUST_CHECK;
int ayre_subscriber_open_pair(const struct ayre_subscriber_options *options,
                              struct ayre_subscriber **ret_subscriber, struct ayre_ends *ret_ends,
                              struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_publisher_open_ends(), ayre_subscriber_open_ends() - the other end, where it arrived
 * @ends: taken on success, left on failure
 *
 * Nothing of it is believed before it is checked: -EPROTO. Since 0.1.
 */
int ayre_publisher_open_ends(const struct ayre_publisher_options *options,
                             const struct ayre_ends *ends, struct ayre_publisher **ret_publisher,
                             struct ayre_error *error) AYRE_MUST_CHECK;
int ayre_subscriber_open_ends(const struct ayre_subscriber_options *options,
                              const struct ayre_ends *ends, struct ayre_subscriber **ret_subscriber,
                              struct ayre_error *error) AYRE_MUST_CHECK;

/** ayre_ends_close() - close the descriptors and set them to -1. Since 0.1. */
void ayre_ends_close(struct ayre_ends *ends);

AYRE_END_DECLARATIONS
