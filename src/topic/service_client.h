/*
 * The handle of a client, and what its files share.
 *
 *   client.c              calling: sending, and receiving what comes
 *   service_client_wait.c who serves; what ends calls besides replies; waiting
 *   service_client_open.c opening, and letting go
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "topic/publisher.h"
#include "topic/service.h"
#include "topic/subscriber.h"

struct ayre_client {
	struct ayre_publisher *requests;
	struct ayre_subscriber *replies;
	struct ayrei_shared server_map; /* of the file `server`, if one was found */
	uint64_t server;                /* the cursor of the one that serves; 0: none is known */
	bool distrusted;                /* it broke the format */
	bool no_wait;                   /* for a server */
	/*
	 * Calls may be outstanding whose server has ended. 2: what it had sent before is
	 * being read; when there is no more, they have ended as well.
	 */
	unsigned int unsettled;
	struct ayrei_calls calls;
	size_t over;         /* of these, so many have ended and have to be told */
	int64_t earliest_ns; /* no deadline of a call that has not ended is before this */
	unsigned int idle;   /* attempts since the requests' set was looked at */
	bool was_woken;      /* look at it now, if there is no reply */
	bool unheard;        /* a lane of replies could not be listened to: to be tried again */
	size_t broken;       /* lanes of replies that a server broke */
	uint64_t session;    /* of the reply topic's name; 0: it was never made */
	bool exported;       /* its descriptor was asked for */
	bool was_refused;    /* the last attempt to send: for want of a server, or of room */
	bool retry;          /* something has happened since, and was heard: to be tried again */
	int timer; /* of the descriptor: the earliest deadline, or the past: something to do */
	int64_t timer_ns;
	uint64_t sent, dropped;
};

/* What an attempt came to, besides a size or a negative errno: there may be something now. */
#define AYREI_AGAIN (-ERESTART)

/* --- who serves --- */

/* 0: client->server lives, as far as we know; or -EPIPE: nobody serves; or what looking failed with. */
int ayrei_client_find_server(struct ayre_client *client);
/* The same, waiting for one. */
int ayrei_client_wait_server(struct ayre_client *client, int64_t deadline_ns);
/* It breaks the format: its calls end. */
void ayrei_client_distrust(struct ayre_client *client);
/* The format of some lane was broken: was it one of its? */
void ayrei_client_check_lanes(struct ayre_client *client);

/* --- what ends calls --- */

void ayrei_client_end(struct ayre_client *client, struct ayrei_outstanding *call, int result);
/* Those whose deadline has passed. Was there one? */
bool ayrei_client_end_late(struct ayre_client *client);
/* Has anything come, or ended, that has to be told or settled? Asks nobody. */
bool ayrei_client_is_ready(struct ayre_client *client);
/* No reply is there. AYREI_AGAIN: something else has happened; -EAGAIN. */
int ayrei_client_rest(struct ayre_client *client);
/* Waits until an attempt may find something: 0, or -ETIMEDOUT: it has not by the deadline. */
int ayrei_client_wait(struct ayre_client *client, int64_t deadline_ns);
/* For an event loop: after something has changed that no descriptor tells of. */
void ayrei_client_set_timer(struct ayre_client *client);
