/*
 * What a zygote gives up before it loads the module: constructors are not trusted either. And what its
 * workers give up besides.
 *
 * Invariant: from here on files are read at most, and only those that the loader needs; whatever is
 * given up here no worker can have again, so that a worker begins where this ends. The namespaces are
 * missing, but for those that zygote_keep.c makes: in them there would be no files.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/error.h"
#include "sys/landlock.h"
#include "sys/privilege.h"
#include "worker/confine.h"
#include "worker/filter.h"
#include "worker/zygote.h"

/*
 * The loader's descriptors come and go; then there is one for each worker, and what comes with an order. The
 * kernel holds those that are under way between the user's processes against this number, too.
 */
#define DESCRIPTORS_MAX 1024

/* The zygote and its workers. */
#define PROCESSES_MAX (1 + AYREI_SLOTS_MAX)

#define STACK_BYTES (UINT64_C(8) << 20)

#define MEMORY_BYTES_DEFAULT (UINT64_C(1) << 30)

static const char *const loader_paths[] = {
	"/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache",
};
#define LOADER_PATHS (sizeof(loader_paths) / sizeof(*loader_paths))

static const struct ayrei_zygote *locking;

static int lay_landlock(struct ayrei_confinement *confinement)
{
	size_t count = 0;
	const char **paths = calloc(LOADER_PATHS + 1 + locking->read_count, sizeof(*paths));
	int abi = ayrei_landlock_abi();
	int result;

	if (!paths)
		return -ENOMEM;
	for (size_t i = 0; i < LOADER_PATHS; i++)
		paths[count++] = loader_paths[i];
	paths[count++] = locking->module;
	for (size_t i = 0; i < locking->read_count; i++)
		paths[count++] = locking->reads[i];
	result = abi < 0 ? abi : ayrei_landlock_forbid_all_but(abi, paths, count);
	free(paths);
	if (result == 0)
		confinement->posture.landlock_abi = abi;
	return result;
}

/*
 * How many processes it may make can be limited where they are counted apart from the user's others (Linux 5.14;
 * never those of root). Workers have a limit of none.
 */
static int lay_limits(struct ayrei_confinement *confinement)
{
	uint64_t memory_bytes =
		locking->memory_bytes ? locking->memory_bytes : MEMORY_BYTES_DEFAULT;
	const struct {
		int resource;
		uint64_t value;
	} limits[] = {
		{RLIMIT_STACK, STACK_BYTES},
		{RLIMIT_FSIZE, 0},
		{RLIMIT_CORE, 0},
		{RLIMIT_MEMLOCK, 0},
		{RLIMIT_MSGQUEUE, 0},
		{RLIMIT_NICE, 0},
		{RLIMIT_RTPRIO, 0},
		{RLIMIT_SIGPENDING, 0},
		{RLIMIT_NOFILE, DESCRIPTORS_MAX},
	};
	int result = 0;

	for (size_t i = 0; result == 0 && i < sizeof(limits) / sizeof(*limits); i++)
		result = ayrei_limit_lower(limits[i].resource, limits[i].value);
	if (result == 0 && locking->is_apart)
		result = ayrei_limit_lower(RLIMIT_NPROC, PROCESSES_MAX);
	if (result < 0 || memory_bytes >= (uint64_t)INT64_MAX)
		return result;
	if (confinement->mapped_bytes < 0)
		return (int)confinement->mapped_bytes;
	/* It is of its workers too, before they have lower ones. */
	memory_bytes += (uint64_t)confinement->mapped_bytes + locking->shared_bytes;
	return ayrei_limit_lower(RLIMIT_AS, memory_bytes);
}

static int lay_seccomp(struct ayrei_confinement *confinement)
{
	int result = ayrei_personality_reset();

	(void)confinement;
	return result < 0 ? result
	                  : ayrei_filter_load(ayrei_filter_zygote, ayrei_filter_zygote_length);
}

/* Who is ended by a filter from outside has no other way to say at what. */
static void note(const struct ayrei_confinement *confinement, uint32_t layer)
{
	(void)confinement;
	__atomic_store_n(&locking->word->trying, layer, __ATOMIC_RELAXED);
}

static const struct ayrei_confine_step steps[] = {
	{AYRE_LAYER_NO_NEW_PRIVS, ayrei_confine_no_new_privs},
	{AYRE_LAYER_UNDUMPABLE, ayrei_confine_undumpable},
	{AYRE_LAYER_CAPABILITIES, ayrei_confine_capabilities},
	{AYRE_LAYER_DESCRIPTORS, ayrei_confine_descriptors},
	{AYRE_LAYER_LANDLOCK, lay_landlock},
	{AYRE_LAYER_LIMITS, lay_limits},
	{AYRE_LAYER_SECCOMP, lay_seccomp},
};

int ayrei_zygote_lock(const struct ayrei_zygote *zygote, struct ayre_error *error)
{
	const int keep[] = {
		0, 1, 2, AYREI_CHANNEL_SOCKET, zygote->address_space,
	};
	struct ayrei_confinement confinement = {
		.options = {.without = zygote->without,
	                    .keep = keep,
	                    .keep_count = sizeof(keep) / sizeof(*keep)},
		.mapped_bytes = ayrei_address_space_read(zygote->address_space),
		.begin = note,
	};
	int result;

	locking = zygote;
	result = ayrei_confine_lay(&confinement, steps, sizeof(steps) / sizeof(*steps), error);
	note(&confinement, 0);
	return result;
}

/* --- a worker --- */

/* Of the zygote's limits those that it had to leave itself. */
static int lay_worker_limits(struct ayrei_confinement *confinement)
{
	uint64_t memory_bytes =
		locking->memory_bytes ? locking->memory_bytes : MEMORY_BYTES_DEFAULT;
	int result = 0;

	/* The host's own limit may be lower, and then is the one that counts. */
	if (locking->cpu_seconds > 0)
		result = ayrei_limit_cpu(locking->cpu_seconds);
	if (result == -EPERM)
		result = 0;
	if (result == 0 && memory_bytes < (uint64_t)INT64_MAX)
		result = confinement->mapped_bytes < 0
		                 ? (int)confinement->mapped_bytes
		                 : ayrei_limit_lower(RLIMIT_AS,
		                                     memory_bytes +
		                                             (uint64_t)confinement->mapped_bytes);
	if (result == 0)
		result = ayrei_limit_lower(RLIMIT_NPROC, 0);
	return result < 0 ? result : ayrei_limit_lower(RLIMIT_NOFILE, 0);
}

/* A constructor may have made it one that others can look into again. */
static const struct ayrei_confine_step worker_steps[] = {
	{AYRE_LAYER_UNDUMPABLE, ayrei_confine_undumpable},
	{AYRE_LAYER_DESCRIPTORS, ayrei_confine_descriptors},
	{AYRE_LAYER_LANDLOCK, ayrei_confine_landlock},
	{AYRE_LAYER_LIMITS, lay_worker_limits},
	{AYRE_LAYER_CODE, ayrei_confine_code},
	{AYRE_LAYER_SECCOMP, ayrei_confine_seccomp},
};

int ayrei_zygote_lock_worker(const struct ayrei_zygote *zygote, int64_t mapped_bytes,
                             const int *keep, size_t keep_count, struct ayre_error *error)
{
	struct ayrei_confinement confinement = {
		.options = {.flags = AYRE_CONFINE_REPORT,
	                    .without = zygote->without,
	                    .keep = keep,
	                    .keep_count = keep_count},
		.mapped_bytes = mapped_bytes,
	};

	locking = zygote;
	return ayrei_confine_lay(&confinement, worker_steps,
	                         sizeof(worker_steps) / sizeof(*worker_steps), error);
}
