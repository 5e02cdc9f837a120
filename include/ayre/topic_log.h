/*
 * The logs of a durable topic, looked through from the first record to the last: is all of it whole, and if it
 * is not, what is missing, and where?
 *
 * A log that its machine left in the middle of a write has a torn end. That is no damage: nothing that was
 * reported safe is missing, and the next publisher of the lane cuts it off. Everything else that is wrong is: a
 * disk has lost or changed what was safe, or somebody has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/api.h>
#include <ayre/error.h>

AYRE_BEGIN_DECLARATIONS

enum ayre_flaw {
	AYRE_FLAW_TORN = 0,   /* the end of a log, never safe: no damage */
	AYRE_FLAW_RECORD = 1, /* records that are not whole */
	AYRE_FLAW_HEAD = 2,   /* the head of an extent: nothing in it can be read */
	AYRE_FLAW_EXTENT = 3, /* an extent is not there, or not all of it */
	AYRE_FLAW_LARGE = 4,  /* a message beside the ring is not there, or not what was sent */
	AYRE_FLAW_STATE = 5,  /* log.ID does not say how far the log is */
};

struct ayre_topic_flaw {
	enum ayre_flaw kind;
	uint64_t publisher; /* whose log */
	const char *file;   /* in the topic's directory; valid during the call */
	uint64_t offset;    /* in that file, in bytes */
	uint64_t position;  /* in the lane */
	uint64_t sequence;  /* of the first message that is missing */
	uint64_t messages;  /* so many are; UINT64_MAX: that is not known */
	uint64_t bytes;     /* to the next record that is whole, or to the end */
	bool repaired;      /* by this call */
};

struct ayre_topic_check_options {
	size_t size;
	/* ayre_topic_repair(): change nothing, only tell what it would. */
	bool dry_run;
	/* Told of each flaw; something negative ends it, and is returned. May be NULL. */
	int (*visit)(const struct ayre_topic_flaw *flaw, void *context);
	/* Told now and then how far it is. May be NULL. */
	int (*progress)(uint64_t bytes_done, uint64_t bytes_all, void *context);
	void *context;
};

/* What there is. Set size. */
struct ayre_topic_check_result {
	size_t size;
	uint64_t logs, extents, messages;
	uint64_t bytes; /* of records that are whole */
	uint64_t torn;  /* logs with a torn end */
	uint64_t flaws; /* of the other kinds */
};

/**
 * ayre_topic_verify() - read all of a durable topic, and check it
 * @options: borrowed; NULL means all zero
 * @ret_result: may be NULL
 *
 * Others may use the topic meanwhile: what is sent after its lane was looked at is not looked at.
 *
 * Returns 0: all is whole; 1: something is damaged; -EOPNOTSUPP: the topic is not durable; what visit returned;
 * or a negative errno as ayre_subscriber_open() with AYRE_SUBSCRIBER_EXISTING. Since 0.1.
 */
int ayre_topic_verify(const char *name, const struct ayre_topic_check_options *options,
                      struct ayre_topic_check_result *ret_result, struct ayre_error *error)
	AYRE_MUST_CHECK;

/**
 * ayre_topic_repair() - the same, and make of it what can be read to its end
 *
 * Every record that is whole stays, under its position. What is not whole between them is cut out, and what is torn at an
 * end cut off; subscribers then count what is missing as missed, and are told of no damage any more. A
 * head without which an extent cannot be read is left as it is.
 *
 * Returns as ayre_topic_verify(); 1: something was damaged, repaired or not; -EBUSY: somebody publishes. Since 0.1.
 */
int ayre_topic_repair(const char *name, const struct ayre_topic_check_options *options,
                      struct ayre_topic_check_result *ret_result, struct ayre_error *error)
	AYRE_MUST_CHECK;

AYRE_END_DECLARATIONS
