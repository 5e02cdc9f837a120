/*
 * The escape battery: what code that nobody trusts would try from inside a confined process,
 * against things that are really there. An attempt has got out if the kernel gave it what it
 * asked for.
 *
 * The battery stands outside the library, on the raw kernel (sys/kernel.h) and the public
 * headers. Its files: bait (what there is to be had), tier (which layers are missing), battery
 * (each attempt in a process of its own), and the attempts by what they are after.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ayre/error.h>
#include <ayre/worker.h>

/* What the kernel and the policy are like. */
enum escape_tier {
	ESCAPE_FULL,          /* as they are */
	ESCAPE_NO_NAMESPACES, /* user namespaces are refused */
	ESCAPE_NO_LANDLOCK,   /* the kernel has no Landlock, and the policy does without */
	ESCAPE_SECCOMP_ONLY,  /* neither of the two, as in many containers */
	ESCAPE_NO_SECCOMP,    /* the kernel has no seccomp, and the policy does without */
	ESCAPE_UNCONFINED,    /* nothing is given up, so that the attempts are seen to bite */
};
#define ESCAPE_TIERS 6

/* "full"; NULL if there is no such tier. */
const char *escape_tier_name(int tier);

/* How an attempt ended. */
enum escape_end {
	ESCAPE_HELD,    /* the kernel refused */
	ESCAPE_KILLED,  /* the process was killed for it */
	ESCAPE_GOT_OUT, /* it got what it wanted, or was still at it when its time was over */
	ESCAPE_BROKEN,  /* it could not be made */
};

struct escape_result {
	const char *name;  /* of the attempt */
	const char *group; /* what it is after */
	/* Why it fails on many machines also without confinement; NULL: then it gets out. */
	const char *alone;
	enum escape_end end;
	int detail; /* held: the errno; killed: the signal */
};

/* Is there an attempt of this name? */
bool escape_has_attempt(const char *name);

struct escape_run {
	enum escape_tier tier;
	const char *only; /* one attempt by its name, which there is; NULL: all */
	/* Called for each in turn; not zero stops. */
	int (*visit)(const struct escape_result *result, void *context);
	void *context;
	/* Out: what holds in this tier, and without it nothing. Not of ESCAPE_UNCONFINED. */
	struct ayre_posture posture;
};

/*
 * Makes the bait, runs the attempts, and removes the bait. Returns 0, what visit returned, or a
 * negative errno if the tier's policy or the bait cannot be had.
 */
int escape_run(struct escape_run *run, struct ayre_error *error);

/*
 * Is a process refused that has to have the one layer which the tier lacks, and no other? 0, with the
 * refusal in *error; or a negative errno: it is not, or the tier cannot be had.
 */
int escape_try_refusal(enum escape_tier tier, struct ayre_error *error);
