/*
 * System V segments.
 *
 * Invariant: a segment of ayre's that is not initialised yet is marked as such in the kernel's
 * own record of it, from its first moment on, and its key is locked by its initialiser.
 *
 * System V cannot make a segment first and name it later, so a name shows before the bytes are
 * there. The mark is the mode: shmget(2) sets it in the same step that creates the segment, no
 * process can change it by storing to memory, and IPC_SET, which ends it, is one step too:
 *
 *    shmget(EXCL, 0601) | header, caller's bytes | IPC_SET 0644
 *    unfinished ....................................... open
 *
 * 0601 means: its owner may attach, and an execute bit that means nothing to shared memory and
 * that no program asks for. Who finds it waits for the lock. Who then holds the lock and still
 * finds the mark knows from the kernel that the initialiser is dead, and begins anew.
 *
 * A segment of that mode without a lock is somebody else's, who did ask for it: the lock is there
 * before the segment, and stays, let go by the kernel, when its holder dies.
 *
 * A raw segment without an initialiser needs none of this: the kernel makes it of zeros.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "memory/handle.h"
#include "sys/map.h"
#include "sys/sysv.h"

#define UNFINISHED_MODE 0601u

#define LOCK_KEY_MIX 0x65727961u /* "ayre" */

/*
 * The lock's key: not the segment's own, under which textbook programs keep a semaphore of
 * theirs. Part of the format: processes of other versions have to meet at it.
 */
static key_t lock_key(key_t key)
{
	uint32_t mixed = (uint32_t)key * 2654435761u ^ LOCK_KEY_MIX;

	/* One key must not become IPC_PRIVATE, which would lock nothing. */
	return (key_t)(mixed ? mixed : LOCK_KEY_MIX);
}

static int fail(const struct ayrei_segment_request *request, int code, const char *step)
{
	return ayrei_fail(request->error, code, step, request->label, NULL);
}

static int explain_denied(const struct ayrei_segment_request *request,
                          const struct ayrei_sysv_status *status, const char *step)
{
	return ayrei_fail(request->error, -EACCES, step, request->label,
	                  "it belongs to user %" PRIu32 " and has mode %04" PRIo32, status->uid,
	                  status->mode);
}

/* Finds the segment that the key has now. -EAGAIN: it is unfinished; *ret_status says more. */
static int find(const struct ayrei_segment_request *request, struct ayrei_sysv_status *ret_status)
{
	int id = ayrei_sysv_find(request->name.key);
	int result, denied;

	if (id < 0)
		return fail(request, id, "shmget");
	result = denied = ayrei_sysv_status(id, ret_status);
	if (denied == -EACCES)
		result = ayrei_sysv_look_up(id, ret_status);
	if (result < 0)
		return fail(request, result, "shmctl");
	if (ret_status->mode == UNFINISHED_MODE &&
	    ayrei_sysv_lock_exists(lock_key(request->name.key)))
		return -EAGAIN;
	/* Denied while it was unfinished, and finished before we looked into the table? */
	if (denied == -EACCES)
		denied = ayrei_sysv_status(id, ret_status);
	if (denied < 0 && denied != -EACCES)
		return fail(request, denied, "shmctl");
	return denied == -EACCES ? explain_denied(request, ret_status, "shmctl") : 0;
}

static int attach(const struct ayrei_segment_request *request, struct ayre_segment *segment, int id,
                  bool writable)
{
	void *base;
	int result = ayrei_sysv_attach(id, writable, &base);

	if (result < 0)
		return fail(request, result, "shmat");
	segment->base = base;
	segment->sysv_id = id;
	segment->in_memory = true;
	segment->cannot_fail = true;
	return 0;
}

static int apply_wishes(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                        bool writable)
{
	int result;

	if (segment->want_huge)
		(void)!ayrei_map_want_huge(segment->base, segment->mapped_bytes);
	if (!segment->populate)
		return 0;
	result = ayrei_map_populate(segment->base, segment->mapped_bytes, writable);
	return result < 0 ? fail(request, result, "populate") : 0;
}

static int open_existing(const struct ayrei_segment_request *request, struct ayre_segment *segment)
{
	struct ayrei_segment_header copy = {0};
	struct ayrei_sysv_status status;
	int result = find(request, &status);

	if (result < 0)
		return result;
	result = attach(request, segment, status.id, !segment->read_only);
	if (result == -EACCES)
		return explain_denied(request, &status, "shmat");
	if (result < 0)
		return result;
	segment->mapped_bytes = status.size_bytes;
	memcpy(&copy, segment->base,
	       status.size_bytes < sizeof(copy) ? status.size_bytes : sizeof(copy));
	result = ayrei_segment_accept(request, segment, &copy, status.size_bytes);
	return result < 0 ? result : apply_wishes(request, segment, !segment->read_only);
}

static int make(const struct ayrei_segment_request *request, uint32_t mode)
{
	uint64_t total = ayrei_segment_total(request);
	uint64_t limit;
	int id = ayrei_sysv_create(request->name.key, total, mode);

	if (id >= 0 || id == -EEXIST)
		return id;
	limit = ayrei_sysv_limit();
	if (id == -EINVAL && limit && total > limit)
		return ayrei_fail(request->error, id, "shmget", request->label,
		                  "%" PRIu64 " bytes are more than this machine allows "
		                  "(kernel.shmmax is %" PRIu64 ")",
		                  total, limit);
	if (id == -ENOMEM)
		return ayrei_fail(request->error, id, "shmget", request->label,
		                  "%" PRIu64 " bytes are more than this machine can promise",
		                  total);
	if (id == -ENOSPC)
		return ayrei_fail(request->error, id, "shmget", request->label,
		                  "the machine's System V segments are used up (kernel.shmmni, "
		                  "kernel.shmall)");
	return fail(request, id, "shmget");
}

/* A segment of zeros: one system call creates it whole. */
static int create_plain(const struct ayrei_segment_request *request, struct ayre_segment *segment)
{
	int id = make(request, request->options.mode);
	int result;

	if (id < 0)
		return id;
	ayrei_segment_adopt_new(request, segment);
	segment->mapped_bytes = segment->size_bytes;
	result = attach(request, segment, id, !segment->read_only);
	if (result == 0)
		result = apply_wishes(request, segment, !segment->read_only);
	/* Nobody has been promised anything yet. */
	if (result < 0)
		ayrei_sysv_remove(id);
	return result;
}

/* Fills the segment that this process has just made, and ends its mark. */
static int publish(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                   int id)
{
	int result = attach(request, segment, id, true);

	if (result < 0)
		return result;
	ayrei_segment_adopt_new(request, segment);
	segment->mapped_bytes = (size_t)ayrei_segment_total(request);
	result = apply_wishes(request, segment, true);
	if (result < 0)
		return result;
	result = ayrei_segment_initialize(request, segment);
	if (result < 0)
		return result;
	if (segment->read_only) {
		ayrei_sysv_detach(segment->base);
		segment->base = NULL;
		result = attach(request, segment, id, false);
		if (result < 0)
			return result;
	}
	result = ayrei_sysv_set_mode(id, request->options.mode);
	return result < 0 ? fail(request, result, "shmctl") : 0;
}

/* With the lock held, an unfinished segment is a dead process's. */
static int remove_unfinished(const struct ayrei_segment_request *request, int id)
{
	int result = ayrei_sysv_remove(id);

	if (result == -EPERM)
		return ayrei_fail(request->error, result, "shmctl", request->label,
		                  "its creator died before it was initialised; its owner can "
		                  "remove it: ipcrm -m %d",
		                  id);
	/* -EIDRM, -EINVAL: somebody else has done it. */
	return 0;
}

static int create_locked(const struct ayrei_segment_request *request, struct ayre_segment *segment)
{
	struct ayrei_sysv_status status;
	int id, result = find(request, &status);

	if (result == 0)
		return fail(request, -EEXIST, "shmget");
	if (result == -EAGAIN)
		result = remove_unfinished(request, status.id);
	if (result < 0 && result != -ENOENT)
		return result;
	if (!ayrei_segment_wants(request, AYRE_SEGMENT_CREATE))
		return fail(request, -ENOENT, "shmget");
	id = make(request, UNFINISHED_MODE);
	if (id < 0)
		return id;
	result = publish(request, segment, id);
	if (result < 0)
		ayrei_sysv_remove(id);
	return result;
}

/* Under the lock of the key: waits for an initialiser that lives, takes over from a dead one. */
static int create_exclusively(const struct ayrei_segment_request *request,
                              struct ayre_segment *segment)
{
	int result, lock = ayrei_sysv_lock(lock_key(request->name.key));

	if (lock < 0)
		return ayrei_fail(request->error, lock, "lock", request->label,
		                  "no semaphore to lock the key with");
	result = create_locked(request, segment);
	ayrei_sysv_unlock(lock);
	return result;
}

static void reset(struct ayre_segment *segment)
{
	if (segment->base)
		ayrei_sysv_detach(segment->base);
	segment->base = NULL;
	segment->sysv_id = -1;
	segment->mapped_bytes = 0;
	segment->header_bytes = 0;
	segment->size_bytes = 0;
	segment->created_ns = -1;
	segment->tag[0] = '\0';
}

static const char *find_bad_wish(const struct ayrei_segment_request *request)
{
	if (request->options.reserve_bytes)
		return "a System V segment cannot grow, so there is nothing to reserve";
	if (ayrei_segment_wants(request, AYRE_SEGMENT_MIRRORED))
		return "a System V segment cannot be mapped in parts, so not mirrored";
	return NULL;
}

/* One round. -EIDRM: a segment was removed between two steps; its key may name another by now. */
static int open_or_create(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                          bool needs_initialising)
{
	bool wants_create = ayrei_segment_wants(request, AYRE_SEGMENT_CREATE);
	struct ayrei_sysv_status status;
	int result;

	if (ayrei_segment_wants(request, AYRE_SEGMENT_EXCLUSIVE)) {
		result = find(request, &status);
		if (result == 0)
			return fail(request, -EEXIST, "shmget");
	} else {
		result = open_existing(request, segment);
	}
	if (result == -EAGAIN || (result == -ENOENT && wants_create && needs_initialising))
		result = create_exclusively(request, segment);
	else if (result == -ENOENT && wants_create)
		result = create_plain(request, segment);
	else
		return result;
	return result < 0 ? result : 1;
}

int ayrei_segment_open_sysv(const struct ayrei_segment_request *request,
                            struct ayre_segment *segment)
{
	const char *problem = find_bad_wish(request);
	/* A creator that its own mode would keep out has to attach before the mode is set. */
	bool needs_initialising = request->options.tag || request->options.initialize ||
	                          (request->options.mode & 0600) != 0600;

	if (problem)
		return ayrei_fail(request->error, -EOPNOTSUPP, "options", request->label, "%s",
		                  problem);
	/* Each round is lost only to another process's success, or to its death. */
	for (;;) {
		int result = open_or_create(request, segment, needs_initialising);

		if (result == -EEXIST && ayrei_segment_wants(request, AYRE_SEGMENT_EXCLUSIVE))
			return result;
		if (result != -EIDRM && result != -EEXIST)
			return result;
		reset(segment);
	}
}

int ayrei_segment_remove_sysv(const struct ayrei_segment_name *name, struct ayre_error *error)
{
	int result, id = ayrei_sysv_find(name->key);

	if (id < 0)
		return ayrei_fail(error, id, "shmget", name->given, NULL);
	result = ayrei_sysv_remove(id);
	if (result < 0)
		return ayrei_fail(error, result, "shmctl", name->given, NULL);
	/* A creator that died after its last step, before it let the lock go. */
	ayrei_sysv_lock_clean(lock_key(name->key));
	return 0;
}
