/*
 * The handle of a server, and what its files share.
 *
 *   server.c              receiving requests
 *   service_reply.c       answering; what was cancelled
 *   service_clients.c     the clients: meeting them, and letting go of those that are gone
 *   service_server_open.c opening, and letting go
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "topic/publisher.h"
#include "topic/service.h"
#include "topic/subscriber.h"

/* A client, by the index of its lane among the subscriber's sources. */
struct ayrei_server_client {
	struct ayre_publisher *replies; /* NULL: it cannot be answered */
	uint64_t session;               /* `publishers` of its lane, when that was opened */
	struct ayrei_calls calls;       /* taken, and not answered */
	bool is_awaited;                /* its room is listened for in our set */
	bool has_ended;                 /* so the kernel has said */

	/*
	 * What it has cancelled and we have not yet received: a bit for each message that its ring has room
	 * for, by the message's number. NULL: nothing ever was.
	 */
	uint64_t *cancelled;
	uint64_t cancels;  /* of its lane's word: seen */
	uint64_t position; /* so far has its lane been searched, ... */
	uint64_t sequence; /* ... and the number of the message there */
};

struct ayre_server {
	struct ayre_subscriber *requests;
	struct ayrei_server_client *clients;
	size_t client_count;
	int file; /* `server`, which is ours */
	struct ayrei_shared map;
	int64_t spin_ns;
	unsigned int idle; /* attempts in vain since the clients were looked after */
	unsigned int busy; /* messages since the bell was looked at */
	bool exported;
	bool unheard; /* a client could not be listened to: to be tried again */
	uint64_t received, replied, late, cancelled, refused, broken;
};

/* --- clients --- */

/* A place for each source that there is. */
int ayrei_server_make_places(struct ayre_server *server);
/*
 * Makes sure that this client can be answered. -EPIPE: it cannot, by its own fault; other errors
 * are ours.
 */
int ayrei_server_meet(struct ayre_server *server, size_t index);
/* Lets go of those that are gone. */
void ayrei_server_tend(struct ayre_server *server);
void ayrei_server_let_go(struct ayre_server *server, size_t index);
/* Asks the kernel whether it lives: the file of its cursor has an owner. Once it has ended, no more. */
bool ayrei_server_client_has_ended(struct ayrei_server_client *client);
/* Who has this call, and lives as far as we know. NULL: nobody. */
struct ayrei_server_client *ayrei_server_client_of(struct ayre_server *server,
                                                   const struct ayre_call *call);

/* --- cancellations --- */

/* Searches the lane for those that were not seen yet, if its word says that there are any. */
void ayrei_server_search(struct ayre_server *server, size_t index);
/* The message with this number, which is the source's next one, was cancelled: tells, and forgets. */
bool ayrei_server_was_cancelled(struct ayre_server *server, size_t index, uint64_t number);
/* A message of the lane says so of an earlier one. */
void ayrei_server_note_cancel(struct ayre_server *server, size_t index, uint64_t number);
