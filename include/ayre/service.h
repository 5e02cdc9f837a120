/*
 * Services: requests from any number of clients, and a reply to each from one server.
 *
 * A service is a topic (ayre/topic.h): each client publishes its requests in a lane of its own, and
 * the server subscribes to them all; it answers each client by a lane that only that client reads. So
 * a call is two messages, and no system call where both ends are awake.
 *
 *  - One process at a time serves a name: of two, each would get every request. A second one is
 *    refused (-EBUSY), or stands by until the kernel says that the first has ended. Who may: the
 *    user who made the service, and root.
 *  - A call is executed once, or not at all; it is never sent again. Where the server ends without having
 *    answered, the client is told just that (-EOWNERDEAD), and whether to repeat the call is for it
 *    to say: the server may have executed it. The next server begins with what is sent after it came.
 *  - Requests of one client arrive in its order; replies come in whatever order the server gives
 *    them.
 *  - What every call ended with is one of: a reply; the server's own error (-EREMOTEIO); no server
 *    (-EPIPE); its deadline (-ETIMEDOUT); the server's end (-EOWNERDEAD); its cancellation (-ECANCELED);
 *    a server that breaks the format (-EPROTO).
 *
 * In a service that several users may call, each of them can read what the others ask and are
 * answered, as subscribers of a topic can.
 *
 * Handles are as those of topics: of one thread at a time, and of the process that opened them; a child
 * of fork(2) leaves them alone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/api.h>
#include <ayre/error.h>
#include <ayre/topic.h>

AYRE_BEGIN_DECLARATIONS

/* Open ends, local to this process. */
struct ayre_client;
struct ayre_server;

/* --- calling --- */

enum ayre_client_flags {
	/* The service has to be there: -ENOENT otherwise. Whether somebody serves it is another matter. */
	AYRE_CLIENT_EXISTING = 1u << 0,
	/*
	 * Where nobody serves, do not wait for a server until the deadline: -EPIPE at once. A server that
	 * closed serves no more; one that was killed serves until its client has heard of it, by
	 * receiving or waiting: what is sent meanwhile ends with -EOWNERDEAD.
	 */
	AYRE_CLIENT_NO_WAIT = 1u << 1,
};

struct ayre_client_options {
	size_t size;
	uint32_t flags; /* enum ayre_client_flags */
	/*
	 * How to make the service if it is missing; its tag is checked if it is not. Not LOSSY.
	 * ring_bytes: of the requests of each client, and of the replies to it; 0: 256 KiB. NULL: the
	 * defaults.
	 */
	const struct ayre_topic_options *topic;
	int64_t spin_ns; /* AYRE_SPIN_..., or a number of nanoseconds */
};

/**
 * ayre_client_open() - begin to call a service
 * @options: borrowed; NULL means all zero
 * @name: as of a topic
 * @ret_client: to be closed with ayre_client_close()
 *
 * Returns 0, or what ayre_publisher_open() and ayre_subscriber_open() return, or
 *   -EINVAL  the topic of that name is a lossy one
 * Since 0.1.
 */
int ayre_client_open(const struct ayre_client_options *options, const char *name,
                     struct ayre_client **ret_client, struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_client_close() - let go
 *
 * Replies to what was sent are lost, and what the server has not begun it does not begin, once it knows.
 * NULL does nothing. Since 0.1.
 */
void ayre_client_close(struct ayre_client *client);

/* How a call ended. Set size to sizeof(struct ayre_reply_info). */
struct ayre_reply_info {
	size_t size;
	uint64_t call;  /* its number, as ayre_client_send() gave it */
	uint64_t bytes; /* of the reply */
	/*
	 * 0: answered; -EREMOTEIO, -ETIMEDOUT, -EOWNERDEAD, -ECANCELED, -EPROTO as at the head of
	 * this file; -ENOMEM: a reply came while another was waited for, and could not be kept.
	 */
	int result;
	int status; /* with -EREMOTEIO: what ayre_server_fail() was given, 1 to 4095; else 0 */
};

/**
 * ayre_client_call() - send a request and wait for its reply
 * ayre_client_call_until() - the same, until @deadline_ns (absolute, CLOCK_MONOTONIC)
 * @data: the request, @bytes of it, 0 or more; borrowed
 * @buffer: for the reply; borrowed; @buffer_bytes of room
 * @ret_info: may be NULL; set whenever the call was sent
 *
 * The deadline goes with the request: a server does not begin what is too late. Waits for a server
 * too, unless AYRE_CLIENT_NO_WAIT. Replies to what ayre_client_send() has sent are kept meanwhile.
 *
 * Returns the size of the reply, or
 *   -EREMOTEIO   the server says that it failed: ret_info->status
 *   -EPIPE       NO_WAIT, and nobody serves, as far as is known: nothing was sent
 *   -ETIMEDOUT   the deadline has passed
 *   -EOWNERDEAD  the server has ended, dead or closed, and has not answered: it may have executed
 *                the call
 *   -EPROTO      the server breaks the format; what it says is not listened to any more
 *   -EMSGSIZE    the reply is larger than @buffer_bytes: ret_info->bytes. It stays, to be had from
 *                ayre_client_receive(); or the request is larger than a message can be
 *   -EOVERFLOW   2^52 requests were sent in this lane: open another client
 *   and as ayre_publisher_send() and ayre_client_receive(): -ENOSPC, -EMFILE, -ENOMEM; what was sent is
 *                then cancelled
 * Since 0.1.
 */
ssize_t ayre_client_call(struct ayre_client *client, const void *data, size_t bytes, void *buffer,
                         size_t buffer_bytes, struct ayre_reply_info *ret_info) AYRE_MUST_CHECK;
ssize_t ayre_client_call_until(struct ayre_client *client, const void *data, size_t bytes,
                               void *buffer, size_t buffer_bytes, struct ayre_reply_info *ret_info,
                               int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_client_send() - send a request, and do not wait for its reply
 * ayre_client_try_send() - the same without waiting for a server or for room
 * @deadline_ns: of the call, absolute, CLOCK_MONOTONIC; AYRE_NO_DEADLINE
 * @ret_call: a number that no other call of this client has; larger than those before
 *
 * Every call that was sent ends, and ayre_client_receive() tells how, once.
 *
 * Returns 0, or as ayre_client_call_until(); and
 *   -EAGAIN  try: the server has to read first
 *   -EPIPE   try: nobody serves, as far as is known: see AYRE_CLIENT_NO_WAIT
 * Since 0.1.
 */
int ayre_client_send(struct ayre_client *client, const void *data, size_t bytes,
                     int64_t deadline_ns, uint64_t *ret_call) AYRE_MUST_CHECK;
int ayre_client_try_send(struct ayre_client *client, const void *data, size_t bytes,
                         int64_t deadline_ns, uint64_t *ret_call) AYRE_MUST_CHECK;

/**
 * ayre_client_receive() - how a call ended, whichever did first; waits for one
 * ayre_client_try_receive() - the same without waiting: -EAGAIN
 * ayre_client_receive_until() - the same, until @deadline_ns (absolute, CLOCK_MONOTONIC)
 * @buffer: for the reply; borrowed; @buffer_bytes of room
 * @ret_info: which call, and how it ended; its size has to be set
 *
 * Returns the size of the reply, 0 if ret_info->result says that there is none; or, and no call was
 * taken,
 *   -EAGAIN     try: none has ended yet
 *   -ETIMEDOUT  until: none did until the deadline
 *   -ENOENT     no call is outstanding
 *   -EMSGSIZE   the reply is larger than @buffer_bytes: ret_info->call and ->bytes; it stays
 *   -EINVAL     @ret_info is NULL, or its size is not set
 *   -EMFILE, -ENOMEM  the server cannot be listened to
 * Since 0.1.
 */
ssize_t ayre_client_receive(struct ayre_client *client, void *buffer, size_t buffer_bytes,
                            struct ayre_reply_info *ret_info) AYRE_MUST_CHECK;
ssize_t ayre_client_try_receive(struct ayre_client *client, void *buffer, size_t buffer_bytes,
                                struct ayre_reply_info *ret_info) AYRE_MUST_CHECK;
ssize_t ayre_client_receive_until(struct ayre_client *client, void *buffer, size_t buffer_bytes,
                                  struct ayre_reply_info *ret_info, int64_t deadline_ns)
	AYRE_MUST_CHECK;

/**
 * ayre_client_cancel() - end a call now
 *
 * ayre_client_receive() tells of it with -ECANCELED, and a reply that comes is dropped. The server does
 * not begin it, or, if it has, can find out (ayre_server_is_cancelled()). It is not told if there is no
 * room for another request.
 *
 * Returns 0, or -ENOENT: no such call is outstanding; it may have ended. Since 0.1.
 */
int ayre_client_cancel(struct ayre_client *client, uint64_t call) AYRE_MUST_CHECK;

/**
 * ayre_client_fd() - the descriptor to wait with, in poll, epoll or an event loop
 *
 * Readable when ayre_client_try_receive() has something to tell, deadlines and deaths included; and,
 * after ayre_client_try_send() returned -EAGAIN or -EPIPE, when another attempt is due. Level-triggered;
 * the same for the handle's life; borrowed. It may be readable for nothing: try until -EAGAIN (or
 * -ENOENT), then wait. Since 0.1.
 */
int ayre_client_fd(struct ayre_client *client) AYRE_MUST_CHECK;

struct ayre_client_info {
	size_t size;
	uint64_t id;          /* of its lane of requests */
	uint64_t server;      /* of its server's cursor; 0: none is known to serve */
	uint64_t calls;       /* sent by this handle */
	uint64_t outstanding; /* of these: not received */
	uint64_t dropped;     /* replies to calls that had ended, or were never made */
	uint64_t sleeps;      /* times that it went to sleep, waiting for a reply */
};

/** ayre_client_get_info() - 0, or -EINVAL if the struct's size is not set. Since 0.1. */
int ayre_client_get_info(const struct ayre_client *client, struct ayre_client_info *ret_info)
	AYRE_MUST_CHECK;

/* --- serving --- */

enum ayre_server_flags {
	/* The service has to be there: -ENOENT otherwise. */
	AYRE_SERVER_EXISTING = 1u << 0,
	/* If somebody serves, wait until that one has ended, for as long as it takes. */
	AYRE_SERVER_STANDBY = 1u << 1,
};

struct ayre_server_options {
	size_t size;
	uint32_t flags;                         /* enum ayre_server_flags */
	const struct ayre_topic_options *topic; /* as for clients */
	int64_t spin_ns;                        /* AYRE_SPIN_..., or a number of nanoseconds */
};

/**
 * ayre_server_open() - begin to serve
 *
 * What clients sent before is not for this server.
 *
 * Returns 0, or what ayre_subscriber_open() returns, or
 *   -EBUSY   somebody serves
 *   -EACCES  this user is neither the one who made the service nor root
 *   -EINVAL  the topic of that name is a lossy one
 *   -EPROTO  a directory has the name of the file that says who serves
 * Since 0.1.
 */
int ayre_server_open(const struct ayre_server_options *options, const char *name,
                     struct ayre_server **ret_server, struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_server_close() - end serving
 *
 * Clients are told of calls that were not answered (-EOWNERDEAD). NULL does nothing. Since 0.1.
 */
void ayre_server_close(struct ayre_server *server);

/* A call that the server has taken. */
struct ayre_call {
	uint64_t client;         /* its lane */
	uint64_t number;         /* as the client knows it */
	int64_t deadline_ns;     /* CLOCK_MONOTONIC; AYRE_NO_DEADLINE: none */
	uint64_t bytes;          /* of the request */
	uint64_t session, index; /* ayre's own */
};

/**
 * ayre_server_receive() - take the next request, waiting for one
 * ayre_server_try_receive() - the same without waiting: -EAGAIN
 * ayre_server_receive_until() - the same, until @deadline_ns (absolute, CLOCK_MONOTONIC)
 * @buffer: borrowed; @buffer_bytes of room
 * @ret_call: what is to be answered, now or later, once
 *
 * Requests whose deadline has passed, and those that were cancelled, are passed over, as are
 * those that break the format: all are counted.
 *
 * Returns the request's size, or
 *   -EAGAIN     try: there is none now
 *   -ETIMEDOUT  until: there was none until the deadline
 *   -EMSGSIZE   it is larger than @buffer_bytes; it stays, and ret_call->bytes is its size
 *   -EMFILE, -ENOMEM, -ENOSPC  a new client cannot be listened to, or not be answered: its request is
 *               passed over, and the others go on
 * Since 0.1.
 */
ssize_t ayre_server_receive(struct ayre_server *server, void *buffer, size_t buffer_bytes,
                            struct ayre_call *ret_call) AYRE_MUST_CHECK;
ssize_t ayre_server_try_receive(struct ayre_server *server, void *buffer, size_t buffer_bytes,
                                struct ayre_call *ret_call) AYRE_MUST_CHECK;
ssize_t ayre_server_receive_until(struct ayre_server *server, void *buffer, size_t buffer_bytes,
                                  struct ayre_call *ret_call, int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_server_reply() - answer a call, waiting for room if the client has not read enough
 * ayre_server_try_reply() - the same without waiting: -EAGAIN
 * ayre_server_reply_until() - the same, until @deadline_ns (absolute, CLOCK_MONOTONIC)
 * @call: as ayre_server_receive() set it; borrowed
 * @bytes: 0 or more; borrowed
 *
 * A client that stands still can make a server wait: where clients are not trusted, use the latter two.
 *
 * 0 says that the reply was sent, and no more. A client that is awake is believed to live until the server
 * hears otherwise, and where nothing makes it ask, a reply goes out to one that has just gone. -EPIPE is sure
 * if the client slept, and from when ayre_server_is_cancelled() has found that it is gone, or a reply has
 * returned -EPIPE.
 *
 * Returns 0, or
 *   -EAGAIN, -ETIMEDOUT, -EMSGSIZE, -ENOSPC  as ayre_publisher_send(); the call is still to be answered
 *   -ECANCELED  the client has cancelled the call
 *   -EPIPE      the client is gone, as far as is known; also if it went while we waited for room
 *   -EINVAL     no such call, or it was answered
 * Since 0.1.
 */
int ayre_server_reply(struct ayre_server *server, const struct ayre_call *call, const void *data,
                      size_t bytes) AYRE_MUST_CHECK;
int ayre_server_try_reply(struct ayre_server *server, const struct ayre_call *call,
                          const void *data, size_t bytes) AYRE_MUST_CHECK;
int ayre_server_reply_until(struct ayre_server *server, const struct ayre_call *call,
                            const void *data, size_t bytes, int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_server_fail() - answer a call with an error, waiting for room as ayre_server_reply() does
 * ayre_server_try_fail() - the same without waiting: -EAGAIN
 * ayre_server_fail_until() - the same, until @deadline_ns (absolute, CLOCK_MONOTONIC)
 * @status: 1 to 4095, an errno for example; the client gets -EREMOTEIO and this
 *
 * Returns as ayre_server_reply(). Since 0.1.
 */
int ayre_server_fail(struct ayre_server *server, const struct ayre_call *call, int status)
	AYRE_MUST_CHECK;
int ayre_server_try_fail(struct ayre_server *server, const struct ayre_call *call, int status)
	AYRE_MUST_CHECK;
int ayre_server_fail_until(struct ayre_server *server, const struct ayre_call *call, int status,
                           int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_server_is_cancelled() - does nobody wait for the answer any more?
 *
 * To be asked now and then while a call is worked on. It still has to be answered.
 *
 * Returns 1: its client has cancelled it, or is gone; 0; -EINVAL: no such call, or it was
 * answered. Since 0.1.
 */
int ayre_server_is_cancelled(struct ayre_server *server, const struct ayre_call *call)
	AYRE_MUST_CHECK;

/** ayre_server_is_late() - 1: the call's deadline has passed; 0: it has not. Since 0.1. */
int ayre_server_is_late(const struct ayre_server *server, const struct ayre_call *call)
	AYRE_MUST_CHECK;

/**
 * ayre_server_fd() - the descriptor to wait with, in poll, epoll or an event loop
 *
 * Readable while ayre_server_try_receive() has something to do; and, after ayre_server_try_reply()
 * returned -EAGAIN, when another attempt is due. Level-triggered; the same for the handle's life;
 * borrowed. It may be readable for nothing: try until -EAGAIN, then wait. Since 0.1.
 */
int ayre_server_fd(struct ayre_server *server) AYRE_MUST_CHECK;

struct ayre_server_info {
	size_t size;
	uint64_t id;        /* of its cursor */
	uint64_t requests;  /* received */
	uint64_t replies;   /* sent, errors included */
	uint64_t late;      /* requests passed over: their deadlines had passed */
	uint64_t cancelled; /* requests passed over: cancelled before they were received */
	uint64_t
		refused; /* messages passed over: no request, or of a client that cannot be answered */
	uint64_t broken;  /* clients that broke the format, and are not listened to any more */
	uint64_t sleeps;  /* times that it went to sleep */
	uint32_t clients; /* that it could answer now */
};

/** ayre_server_get_info() - 0, or -EINVAL if the struct's size is not set. Since 0.1. */
int ayre_server_get_info(const struct ayre_server *server, struct ayre_server_info *ret_info)
	AYRE_MUST_CHECK;

AYRE_END_DECLARATIONS
