/*
 * The limits of this process, which its children inherit, and what the kernel lets a user have of pipes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <dirent.h>
#include <unistd.h>

#include <ayre.h>

#include "command/command.h"
#include "command/doctor.h"
#include "command/output.h"

#define KIBIBYTE   INT64_C(1024)
#define MEBIBYTE   (KIBIBYTE * KIBIBYTE)
#define GIBIBYTE   (MEBIBYTE * KIBIBYTE)
#define PIPE_BYTES (256 * KIBIBYTE) /* what ayre asks for */

/* --- of a process --- */

static int64_t open_descriptors(void)
{
	int64_t count = doctor_count_entries("/proc/self/fd");

	/* One of them was for counting. */
	return count > 0 ? count - 1 : 0;
}

static int64_t own_processes(void)
{
	const struct dirent *entry;
	int64_t count = 0;
	struct stat status;
	DIR *stream = opendir("/proc");

	while (stream && (entry = readdir(stream)))
		if (strtol(entry->d_name, NULL, 10) > 0 &&
		    fstatat(dirfd(stream), entry->d_name, &status, 0) == 0 &&
		    status.st_uid == getuid())
			count++;
	if (stream)
		closedir(stream);
	return count;
}

static int64_t mapped_bytes(void)
{
	int64_t pages = 0;

	(void)doctor_read_number("/proc/self/statm", &pages);
	return pages * sysconf(_SC_PAGESIZE);
}

static int64_t nothing(void)
{
	return 0;
}

struct limit {
	const char *name;
	__rlimit_resource_t resource;
	bool of_users; /* root is exempt */
	bool in_bytes;
	int64_t (*used)(void);
	int64_t least, enough;   /* that are left: below is trouble, or costs */
	int64_t wanted;          /* -1: no limit */
	const char *option;      /* of ulimit */
	const char *long_option; /* of prlimit(1) */
	const char *trouble, *costs;
};

static const struct limit limits[] = {
	{"open-files", RLIMIT_NOFILE, false, false, open_descriptors, 21, 256, 4096, "-n",
         "--nofile",
         "A worker takes 21 descriptors to begin with, a pipeline 2 and more for each stage: they "
         "are refused (Too many open files).",
         "A publisher takes 4 descriptors for each subscriber, a subscriber one for each "
         "publisher, a worker some for each call: beyond that they are refused (Too many open "
         "files). pub and sub raise this limit themselves, as far as they may."},
	{"processes", RLIMIT_NPROC, true, false, own_processes, 8, 64, 4096, "-u", "--nproc",
         "Neither a pipeline nor a worker can begin (Resource temporarily unavailable).",
         "Each stage of a pipeline is a process; a worker is three, and one for each call. "
         "Beyond the limit none begins (Resource temporarily unavailable)."},
	{"address-space", RLIMIT_AS, false, true, mapped_bytes, 64 * MEBIBYTE, 64 * GIBIBYTE, -1,
         "-v", "--as",
         "A ring of 1M, its map, a worker of 1G: they do not fit (Cannot allocate memory).",
         "Each lane that a process maps takes twice its ring of address space, each worker what "
         "its module may use: beyond the limit they are refused (Cannot allocate memory)."},
	{"file-size", RLIMIT_FSIZE, false, true, nothing, 2 * MEBIBYTE, GIBIBYTE, -1, "-f",
         "--fsize",
         "It bounds files in memory as well: a publisher's ring of 1M cannot be made (File too "
         "large).",
         "It bounds files in memory as well: a larger ring, segment, message beside the ring, "
         "reply of a worker, or extent of a log is refused (File too large)."},
};

/* By the shell itself as far as the hard limit goes; else somebody else has to raise that. */
static void mend_limit(struct doctor_finding *finding, const struct limit *limit,
                       const struct rlimit *now)
{
	char wanted[24] = "unlimited";
	bool may = now->rlim_max == RLIM_INFINITY ||
	           (limit->wanted > 0 && now->rlim_max >= (rlim_t)limit->wanted);

	if (limit->wanted > 0)
		snprintf(wanted, sizeof(wanted), "%" PRId64, limit->wanted);
	if (may)
		doctor_mend(finding, "ulimit -S %s %s", limit->option, wanted);
	else
		doctor_mend(finding, "prlimit --pid $$ %s=%s", limit->long_option, wanted);
}

static void say_left(struct doctor_finding *finding, const struct limit *limit, int64_t most)
{
	int64_t used = limit->used(), left = most > used ? most - used : 0;
	char text[16], all[16];

	if (limit->in_bytes) {
		finding->bytes = left;
		doctor_say(finding, "%s of %s left", format_size((uint64_t)left, text),
		           format_size((uint64_t)most, all));
	} else {
		finding->count = left;
		doctor_say(finding, "%" PRId64 " of %" PRId64 " left", left, most);
	}
	if (left < limit->least)
		doctor_judge(finding, DOCTOR_TROUBLE, "%s", limit->trouble);
	else if (left < limit->enough)
		doctor_judge(finding, DOCTOR_COSTS, "%s", limit->costs);
}

static void look_at_limit(struct doctor *doctor, const struct limit *limit)
{
	struct doctor_finding *finding = doctor_add(doctor, "limits", limit->name);
	struct rlimit now;

	if (getrlimit(limit->resource, &now) == -1) {
		doctor_say(finding, "%s", strerror(errno));
		return;
	}
	if (now.rlim_cur == RLIM_INFINITY || now.rlim_cur > INT64_MAX ||
	    (limit->of_users && getuid() == 0)) {
		doctor_say(finding,
		           limit->of_users && getuid() == 0 ? "no limit for root" : "no limit");
		return;
	}
	say_left(finding, limit, (int64_t)now.rlim_cur);
	if (finding->verdict != DOCTOR_OK)
		mend_limit(finding, limit, &now);
}

/* --- of pipes --- */

static void judge_pipe(struct doctor_finding *finding)
{
	int64_t most = INT64_MAX, pages = 0;
	char asked[16];

	doctor_judge(
		finding, DOCTOR_COSTS,
		"ayre asks for %s. Programs that are joined by smaller pipes wake each other "
		"more often: with 64K a third goes through, with 8K a tenth, and programs that "
		"count on 64K can stop.",
		format_size((uint64_t)PIPE_BYTES, asked));
	(void)doctor_read_number("/proc/sys/fs/pipe-max-size", &most);
	(void)doctor_read_number("/proc/sys/fs/pipe-user-pages-soft", &pages);
	if (most < PIPE_BYTES)
		doctor_mend(finding, "sysctl -w fs.pipe-max-size=%" PRId64, MEBIBYTE);
	else
		doctor_mend(finding, "sysctl -w fs.pipe-user-pages-soft=%" PRId64,
		            pages < 16384 ? INT64_C(65536) : 4 * pages);
}

static void look_at_pipes(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "limits", "pipe-size");
	struct ayre_pipe *pipe;
	struct ayre_error error;
	char size[16];

	if (ayre_pipe_open(NULL, &pipe, &error) < 0) {
		doctor_say(finding, "no pipe can be made");
		doctor_judge_error(finding, &error);
		if (error.code == -ENFILE)
			doctor_mend(finding, "sysctl -w fs.pipe-user-pages-hard=0");
		return;
	}
	finding->bytes = ayre_pipe_capacity(pipe);
	ayre_pipe_close(pipe);
	doctor_say(finding, "%s", format_size((uint64_t)finding->bytes, size));
	if (finding->bytes < PIPE_BYTES)
		judge_pipe(finding);
}

void doctor_look_at_limits(struct doctor *doctor)
{
	for (size_t i = 0; i < COUNT_OF(limits); i++)
		look_at_limit(doctor, &limits[i]);
	look_at_pipes(doctor);
}
