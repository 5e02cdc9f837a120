/*
 * What the kernel has for ayre, and what it shows: by use, and not by the number of its version.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ayre.h>

#include "command/command.h"
#include "command/doctor.h"
#include "command/output.h"

#define OLDEST_MAJOR 6 /* that is tested */
#define OLDEST_MINOR 1
#define CLOCKS       "/sys/devices/system/clocksource/clocksource0/"
#define FILTERED     2 /* of Seccomp: in /proc/self/status */

static void look_at_release(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "kernel", "release");
	unsigned int major = 0, minor = 0;
	struct utsname names;

	if (uname(&names) == -1) {
		doctor_say(finding, "%s", strerror(errno));
		return;
	}
	doctor_say(finding, "%.60s %.60s", names.release, names.machine);
	if (sscanf(names.release, "%u.%u", &major, &minor) == 2 &&
	    (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR)))
		doctor_judge(finding, DOCTOR_COSTS, "Nobody has tested ayre on one before %d.%d.",
		             OLDEST_MAJOR, OLDEST_MINOR);
}

static void look_at_processors(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "kernel", "processors");
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	/* A machine of more than the set has room for has enough. */
	finding->count = sched_getaffinity(0, sizeof(set), &set) == -1 ? online : CPU_COUNT(&set);
	doctor_say(finding, "%" PRId64 " of %ld", finding->count, online);
	if (finding->count >= 2)
		return;
	doctor_judge(
		finding, DOCTOR_COSTS,
		"On one processor no two ends are awake at once: each message and each call is "
		"waited for asleep, some microseconds instead of a fraction of one.");
	if (online > 1)
		doctor_mend(finding, "taskset -p -c 0-%ld $$", online - 1);
}

static void look_at_clock(struct doctor *doctor)
{
	/* Read without the kernel, on the machines that ayre runs on. */
	static const char *const quick[] = {"tsc", "kvm-clock", "arch_sys_counter",
	                                    "hyperv_clocksource_tsc_page"};
	struct doctor_finding *finding = doctor_add(doctor, "kernel", "clock");
	char name[64], others[256];

	doctor_read_line(CLOCKS "current_clocksource", name, sizeof(name));
	doctor_say(finding, "%s", name[0] ? name : "not told");
	for (size_t i = 0; i < COUNT_OF(quick); i++)
		if (!name[0] || strcmp(name, quick[i]) == 0)
			return;
	doctor_judge(finding, DOCTOR_COSTS,
	             "To read it is a system call: each message has its time, and who spins reads "
	             "it again and again.");
	doctor_read_line(CLOCKS "available_clocksource", others, sizeof(others));
	if (strstr(others, "tsc"))
		doctor_mend(finding, "echo tsc > " CLOCKS "current_clocksource");
}

/* Process 1 is somebody else's, but in a container of one's own. */
static void look_at_others(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "kernel", "other-processes");
	int fd = open("/proc/1/stat", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		doctor_say(finding, "visible");
		return;
	}
	doctor_say(finding, "hidden");
	doctor_judge(finding, DOCTOR_COSTS,
	             "segment list and show do not see whom other users' segments belong to, and "
	             "the processes that have ours mapped only if they are ours.");
	if (access("/proc/self", F_OK) == 0)
		doctor_mend(finding, "mount -o remount,hidepid=0 /proc");
}

/* --- features --- */

static const struct {
	enum doctor_verdict verdict;
	const char *costs;
} features[] = {
	[AYRE_FEATURE_PROC] = {DOCTOR_TROUBLE,
                               "Without /proc segments cannot be made, and nothing is told of "
                               "processes; no worker begins."},
	[AYRE_FEATURE_MEMORY_FILE] = {DOCTOR_TROUBLE,
                                      "No anonymous segments, no pairs, no workers: call does not "
                                      "work."},
	[AYRE_FEATURE_FILE_LOCK] = {DOCTOR_TROUBLE,
                                    "No topics: that a peer lives is proved by its lock."},
	[AYRE_FEATURE_SYSV] = {DOCTOR_COSTS, "No sysv: segments; all others work."},
	[AYRE_FEATURE_BARRIER] = {DOCTOR_COSTS,
                                  "Publishers execute a fence for each message, which doubles what "
                                  "a short one costs, and who goes to sleep looks once more after "
                                  "10 ms."},
	[AYRE_FEATURE_WAIT] = {DOCTOR_TROUBLE,
                               "Whatever waits fails: topics, workers, pipelines, named pipes."},
	[AYRE_FEATURE_QUIET_WRITE] = {DOCTOR_COSTS,
                                      "A write to a pipe from C takes some more system calls, "
                                      "which hold SIGPIPE back."},
	[AYRE_FEATURE_TRY_IO] = {DOCTOR_COSTS,
                                 "A pipe that is not to be waited for is polled first, and "
                                 "written 4096 bytes at a time."},
	[AYRE_FEATURE_WATCH] = {DOCTOR_COSTS,
                                "fifo write and segment read --follow do not work: they wait for "
                                "what inotify tells."},
	[AYRE_FEATURE_PROCESS_FD] = {DOCTOR_TROUBLE,
                                     "No pipelines and no workers: the end of a child is told by "
                                     "its descriptor."},
	[AYRE_FEATURE_CLONE] = {DOCTOR_COSTS,
                                "A child resets its signal handlers one by one, 64 system calls "
                                "more for each stage of a pipeline."},
	[AYRE_FEATURE_CLOSE_RANGE] = {DOCTOR_TROUBLE,
                                      "No pipelines and no workers: descriptors that nobody "
                                      "passed on could not be closed."},
	[AYRE_FEATURE_OBSERVE] = {DOCTOR_COSTS,
                                  "run --meter cannot tell what a stage waits for, nor count its "
                                  "bytes, and names no bottleneck."},
};

static int64_t lines_of(const char *path)
{
	FILE *file = fopen(path, "re");
	int64_t count = 0;
	int byte;

	while (file && (byte = getc(file)) != EOF)
		count += byte == '\n';
	if (file)
		fclose(file);
	return count;
}

/* A table of the kernel's is full; its first line names the columns. */
static void mend_sysv(struct doctor_finding *finding)
{
	int64_t most = INT64_MAX;

	(void)doctor_read_number("/proc/sys/kernel/shmmni", &most);
	if (lines_of("/proc/sysvipc/shm") > most)
		doctor_mend(finding, "sysctl -w kernel.shmmni=%d", 16384);
	else
		doctor_mend(finding, "sysctl -w kernel.sem='32000 1024000000 500 32768'");
}

static void mend_observe(struct doctor_finding *finding)
{
	int64_t scope = 0;

	(void)doctor_read_number("/proc/sys/kernel/yama/ptrace_scope", &scope);
	/* A parent may look at what it has started, up to 1. */
	if (scope > 1)
		doctor_mend(finding, "sysctl -w kernel.yama.ptrace_scope=1");
}

static void mend_feature(struct doctor_finding *finding, enum ayre_feature feature, int code)
{
	int64_t instances = 128;

	if (code == -EMFILE && feature != AYRE_FEATURE_WATCH)
		doctor_mend(finding, "ulimit -S -n 4096");
	else if (feature == AYRE_FEATURE_PROC)
		doctor_mend(finding, "mount -t proc proc /proc");
	else if (feature == AYRE_FEATURE_SYSV && code == -ENOSPC)
		mend_sysv(finding);
	else if (feature == AYRE_FEATURE_OBSERVE)
		mend_observe(finding);
	else if (feature == AYRE_FEATURE_WATCH && code == -EMFILE) {
		(void)doctor_read_number("/proc/sys/fs/inotify/max_user_instances", &instances);
		doctor_mend(finding, "sysctl -w fs.inotify.max_user_instances=%" PRId64,
		            4 * instances);
	} else if (code != -EOPNOTSUPP && doctor_status_is("Seccomp:", FILTERED))
		doctor_mend(finding, "docker run --security-opt seccomp=unconfined ...");
}

static const char *answer_text(int code)
{
	switch (code) {
	case -EOWNERDEAD:
		return "who tries it is killed, by a filter from outside";
	case -EOPNOTSUPP:
		return "the kernel is older than it";
	default:
		return strerror(-code);
	}
}

static void look_at_feature(struct doctor *doctor, enum ayre_feature feature)
{
	struct doctor_finding *finding = doctor_add(doctor, "kernel", ayre_feature_name(feature));
	int code = ayre_feature_probe(feature);

	doctor_say(finding, "%s", code < 0 ? answer_text(code) : "there");
	if (code >= 0)
		return;
	doctor_judge(finding, features[feature].verdict, "%s", features[feature].costs);
	mend_feature(finding, feature, code);
}

void doctor_look_at_kernel(struct doctor *doctor)
{
	look_at_release(doctor);
	look_at_processors(doctor);
	look_at_clock(doctor);
	look_at_others(doctor);
	for (size_t i = 0; i < COUNT_OF(features); i++)
		look_at_feature(doctor, (enum ayre_feature)i);
}
