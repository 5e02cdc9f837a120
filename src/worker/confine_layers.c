/*
 * What each layer consists of.
 *
 * Invariant: a layer that returns 0 holds whole; one that failed may hold in part, and counts as
 * none.
 */
#include "worker/confine.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "sys/landlock.h"
#include "sys/namespace.h"
#include "sys/privilege.h"
#include "worker/filter.h"

#define MEMORY_BYTES_DEFAULT (UINT64_C(1) << 30)

int ayrei_confine_no_new_privs(struct ayrei_confinement *confinement)
{
	(void)confinement;
	return ayrei_privileges_no_new();
}

int ayrei_confine_undumpable(struct ayrei_confinement *confinement)
{
	(void)confinement;
	return ayrei_process_hide();
}

int ayrei_confine_capabilities(struct ayrei_confinement *confinement)
{
	(void)confinement;
	return ayrei_capabilities_drop();
}

int ayrei_confine_descriptors(struct ayrei_confinement *confinement)
{
	return ayrei_descriptors_close_but(confinement->options.keep,
	                                   confinement->options.keep_count);
}

int ayrei_confine_landlock(struct ayrei_confinement *confinement)
{
	int abi = ayrei_landlock_abi();
	int result = abi < 0 ? abi : ayrei_landlock_forbid_all(abi);

	if (result == 0)
		confinement->posture.landlock_abi = abi;
	return result;
}

int ayrei_confine_limits(struct ayrei_confinement *confinement)
{
	const struct ayre_confine_options *options = &confinement->options;
	uint64_t memory_bytes =
		options->memory_bytes ? options->memory_bytes : MEMORY_BYTES_DEFAULT;
	const struct {
		int resource;
		uint64_t value;
		bool wanted;
	} limits[] = {
		{RLIMIT_AS, memory_bytes + (uint64_t)confinement->mapped_bytes,
	         memory_bytes < (uint64_t)INT64_MAX},
		{RLIMIT_CPU, options->cpu_seconds, options->cpu_seconds > 0},
		{RLIMIT_FSIZE, options->file_bytes, true},
		{RLIMIT_CORE, 0, true},
		{RLIMIT_MEMLOCK, 0, true},
		{RLIMIT_MSGQUEUE, 0, true},
		{RLIMIT_NICE, 0, true},
		{RLIMIT_NPROC, 0, true},
		{RLIMIT_RTPRIO, 0, true},
		{RLIMIT_SIGPENDING, 0, true},
		/* Those that are open stay open. */
		{RLIMIT_NOFILE, 0, true},
	};
	int result = limits[0].wanted && confinement->mapped_bytes < 0
	                     ? (int)confinement->mapped_bytes
	                     : 0;

	for (size_t i = 0; result == 0 && i < sizeof(limits) / sizeof(*limits); i++)
		if (limits[i].wanted)
			result = ayrei_limit_lower(limits[i].resource, limits[i].value);
	return result;
}

int ayrei_confine_seccomp(struct ayrei_confinement *confinement)
{
	int result = ayrei_personality_reset();

	if (result < 0)
		return result;
	if (confinement->options.flags & AYRE_CONFINE_REPORT)
		return ayrei_filter_load(ayrei_filter_report, ayrei_filter_report_length);
	return ayrei_filter_load(ayrei_filter_kill, ayrei_filter_kill_length);
}

int ayrei_confine_namespaces(struct ayrei_confinement *confinement)
{
	/*
	 * A network namespace takes ten times as long as the others: only where no filter stands
	 * in for it.
	 */
	bool filtered =
		!(confinement->options.without & AYRE_LAYER_SECCOMP) || confinement->tries_all;
	int result = ayrei_namespaces_enter(!filtered || ayrei_filter_probe() < 0);

	return result < 0 ? result : ayrei_root_empty();
}

int ayrei_confine_code(struct ayrei_confinement *confinement)
{
	(void)confinement;
	return ayrei_code_freeze();
}
