/*
 * The control groups that this process is in, as far as they bound what ayre needs: memory, processes, processor time.
 *
 * Invariant: of all groups from ours to the root, the tightest counts.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command/bench.h"
#include "command/doctor.h"
#include "command/output.h"

#define PATH_BYTES 2048
/* Of a pipeline or a worker; and of some of them. */
#define PROCESSES_LEAST  8
#define PROCESSES_ENOUGH 64

/* Where the files of a controller are: the mount, and behind it our group. */
struct hierarchy {
	bool unified; /* the second version */
	size_t mount_length;
	char path[PATH_BYTES];
};

static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += length)
		if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
			return true;
	return false;
}

/* The line of /proc/self/cgroup: "4:memory:/path", or "0::/path". */
static bool find_group(const char *controller, struct hierarchy *hierarchy, char group[PATH_BYTES])
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_BYTES], *list, *path;
	bool found = false;

	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		list = strchr(line, ':');
		path = list ? strchr(list + 1, ':') : NULL;
		if (!path)
			continue;
		*path = '\0';
		/* A controller of the first version is not one of the second. */
		if (!has_word(list + 1, controller) && (list[1] || found))
			continue;
		found = true;
		hierarchy->unified = list[1] == '\0';
		snprintf(group, PATH_BYTES, "%s", strcmp(path + 1, "/") == 0 ? "" : path + 1);
		if (!hierarchy->unified)
			break;
	}
	if (file)
		fclose(file);
	return found;
}

/* "36 35 98:0 /root /mount options - cgroup source options" */
static bool find_mount(const char *controller, struct hierarchy *hierarchy)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[2 * PATH_BYTES], mount[PATH_BYTES], type[16], options[256];
	bool found = false;

	while (!found && file && fgets(line, sizeof(line), file)) {
		const char *rest = strstr(line, " - ");

		if (!rest || sscanf(line, "%*d %*d %*s %*s %2047s", mount) != 1 ||
		    sscanf(rest, " - %15s %*s %255s", type, options) != 2)
			continue;
		found = hierarchy->unified
		                ? strcmp(type, "cgroup2") == 0
		                : strcmp(type, "cgroup") == 0 && has_word(options, controller);
	}
	if (file)
		fclose(file);
	if (!found)
		return false;
	hierarchy->mount_length = strlen(mount);
	memcpy(hierarchy->path, mount, hierarchy->mount_length + 1);
	return true;
}

static bool find_hierarchy(const char *controller, struct hierarchy *hierarchy)
{
	char group[PATH_BYTES];

	if (!find_group(controller, hierarchy, group) || !find_mount(controller, hierarchy))
		return false;
	snprintf(hierarchy->path + hierarchy->mount_length,
	         sizeof(hierarchy->path) - hierarchy->mount_length, "%s", group);
	/* A container may have its own group as the root of what it sees. */
	if (access(hierarchy->path, F_OK) == -1)
		hierarchy->path[hierarchy->mount_length] = '\0';
	return true;
}

/* One group up; false: this was the last. */
static bool leave_group(struct hierarchy *hierarchy)
{
	char *slash = strrchr(hierarchy->path + hierarchy->mount_length, '/');

	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

static bool read_of(const struct hierarchy *hierarchy, const char *file, int64_t *ret_number)
{
	char path[PATH_BYTES + 64];

	snprintf(path, sizeof(path), "%s/%s", hierarchy->path, file);
	return doctor_read_number(path, ret_number);
}

/* The names of a bound and of what is used, in both versions. */
struct bound {
	const char *controller;
	const char *group_limit, *group_used, *group_none;
	const char *unified_limit, *unified_used;
};

struct bound_found {
	int64_t limit, left;        /* INT64_MAX: there is none */
	char path[PATH_BYTES + 64]; /* of the file that has the limit */
	const char *none;           /* what is written there to have none */
};

static void find_bound(const struct bound *bound, struct bound_found *ret_found)
{
	struct hierarchy hierarchy;
	int64_t limit, used;

	*ret_found = (struct bound_found){.limit = INT64_MAX, .left = INT64_MAX};
	if (!find_hierarchy(bound->controller, &hierarchy))
		return;
	do {
		const char *file = hierarchy.unified ? bound->unified_limit : bound->group_limit;

		/* "max" is no number; the first version says it in pages. */
		if (!read_of(&hierarchy, file, &limit) || limit < 0 || limit > INT64_MAX / 2)
			continue;
		used = 0;
		(void)read_of(&hierarchy,
		              hierarchy.unified ? bound->unified_used : bound->group_used, &used);
		if (limit - used >= ret_found->left)
			continue;
		ret_found->limit = limit;
		ret_found->left = limit - used;
		ret_found->none = hierarchy.unified ? "max" : bound->group_none;
		snprintf(ret_found->path, sizeof(ret_found->path), "%s/%s", hierarchy.path, file);
	} while (leave_group(&hierarchy));
}

static void mend_bound(struct doctor_finding *finding, const struct bound_found *found)
{
	char path[PATH_BYTES + 80];

	doctor_mend(finding, "echo %s > %s", found->none,
	            doctor_quote(found->path, path, sizeof(path)));
}

static void look_at_memory(struct doctor *doctor)
{
	static const struct bound bound = {
		"memory",     "memory.limit_in_bytes", "memory.usage_in_bytes", "-1",
		"memory.max", "memory.current"};
	struct doctor_finding *finding = doctor_add(doctor, "group", "memory");
	struct bound_found found;
	char size[16], machine[16];
	uint64_t available = bench_available_bytes();

	find_bound(&bound, &found);
	if (found.limit == INT64_MAX) {
		doctor_say(finding, "no bound");
		return;
	}
	finding->bytes = found.limit;
	doctor_say(finding, "%s", format_size((uint64_t)found.limit, size));
	if ((uint64_t)found.left >= available)
		return;
	doctor_judge(finding, DOCTOR_COSTS,
	             "Memory that does not fit is no error here: ayre refuses what exceeds the %s "
	             "that the machine has, and at %s, with all that is in /dev/shm, the kernel "
	             "kills a process of the control group.",
	             format_size(available, machine), size);
	mend_bound(finding, &found);
}

static void look_at_processes(struct doctor *doctor)
{
	static const struct bound bound = {"pids", "pids.max", "pids.current",
	                                   "max",  "pids.max", "pids.current"};
	struct doctor_finding *finding = doctor_add(doctor, "group", "processes");
	struct bound_found found;

	find_bound(&bound, &found);
	if (found.limit == INT64_MAX) {
		doctor_say(finding, "no bound");
		return;
	}
	finding->count = found.left;
	doctor_say(finding, "%" PRId64 " of %" PRId64 " left", found.left, found.limit);
	if (found.left >= PROCESSES_ENOUGH)
		return;
	doctor_judge(finding, found.left < PROCESSES_LEAST ? DOCTOR_TROUBLE : DOCTOR_COSTS,
	             "Each stage of a pipeline is a process; a worker is three, and one for each "
	             "call. Beyond the bound of the control group none begins (Resource "
	             "temporarily unavailable).");
	mend_bound(finding, &found);
}

/* In hundredths of a processor; INT64_MAX: no bound. */
static int64_t find_quota(struct bound_found *ret_found)
{
	struct hierarchy hierarchy;
	int64_t quota, period, least = INT64_MAX;

	if (!find_hierarchy("cpu", &hierarchy))
		return INT64_MAX;
	do {
		const char *file = hierarchy.unified ? "cpu.max" : "cpu.cfs_quota_us";
		char path[PATH_BYTES + 64], line[64];

		snprintf(path, sizeof(path), "%s/%s", hierarchy.path, file);
		doctor_read_line(path, line, sizeof(line));
		period = 0;
		if (!hierarchy.unified)
			(void)read_of(&hierarchy, "cpu.cfs_period_us", &period);
		if (sscanf(line, "%" SCNd64 " %" SCNd64, &quota, &period) < 1 || quota <= 0 ||
		    period <= 0 || quota * 100 / period >= least)
			continue;
		least = quota * 100 / period;
		ret_found->none = hierarchy.unified ? "max" : "-1";
		snprintf(ret_found->path, sizeof(ret_found->path), "%s", path);
	} while (leave_group(&hierarchy));
	return least;
}

static void look_at_processors(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "group", "processors");
	struct bound_found found = {0};
	int64_t hundredths = find_quota(&found);

	if (hundredths == INT64_MAX) {
		doctor_say(finding, "no bound");
		return;
	}
	doctor_say(finding, "%" PRId64 ".%02" PRId64, hundredths / 100, hundredths % 100);
	if (hundredths >= 200)
		return;
	doctor_judge(finding, DOCTOR_COSTS,
	             "Two ends that are awake want a processor each. Who spins uses the time of "
	             "the control group up, and then all of it stands still for the rest of a "
	             "period.");
	mend_bound(finding, &found);
}

void doctor_look_at_group(struct doctor *doctor)
{
	look_at_memory(doctor);
	look_at_processes(doctor);
	look_at_processors(doctor);
}
