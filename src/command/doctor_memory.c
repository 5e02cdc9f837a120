/*
 * Where segments and topics are: /dev/shm, the root of topics, System V, the policy of memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <ayre.h>

#include "command/bench.h"
#include "command/doctor.h"
#include "command/output.h"

#define SHM        "/dev/shm"
#define MEBIBYTE   (INT64_C(1) << 20)
#define RING_BYTES MEBIBYTE /* of a topic that asks for nothing else */
/* So many publishers' rings, or so many files, and one need not think of it. */
#define ROOM_RINGS 64
#define ROOM_FILES 1024
/* Of what the machine has left; what is to be had beyond 16 MiB is compared with it. */
#define MEMORY_BYTES (256 * MEBIBYTE)

static bool is_memory(const char *path)
{
	struct statfs status;

	/* f_type is a signed word whose width differs between architectures. */
	return statfs(path, &status) == 0 &&
	       ((uint32_t)status.f_type == TMPFS_MAGIC || (uint32_t)status.f_type == RAMFS_MAGIC);
}

/* A file as large as a ring, as long as this process looks. */
static int try_ring(void)
{
	int fd = bench_open_unnamed(SHM), result;

	if (fd < 0)
		return fd;
	result = fallocate(fd, 0, 0, RING_BYTES) == -1 ? -errno : 0;
	close(fd);
	/* What bounds every file of this process is told by itself. */
	return result == -EFBIG ? 0 : result;
}

static void judge_ring(struct doctor_finding *finding, int code, const struct statvfs *room)
{
	char size[16];

	doctor_judge(finding, DOCTOR_TROUBLE,
	             "A file of %s, a publisher's ring, cannot be made there (%s): no topics, no "
	             "shm: segments.",
	             format_size(RING_BYTES, size), strerror(-code));
	if (code == -ENOSPC && room->f_favail == 0 && room->f_files > 0)
		doctor_mend(finding, "mount -o remount,nr_inodes=%" PRIu64 " " SHM,
		            (uint64_t)room->f_files + 16 * ROOM_FILES);
	else if (code == -ENOSPC)
		doctor_mend(finding, "mount -o remount,size=%" PRIu64 "M " SHM,
		            (uint64_t)room->f_blocks * room->f_frsize / MEBIBYTE + 1024);
	else if (code == -EROFS)
		doctor_mend(finding, "mount -o remount,rw " SHM);
	else if (code == -EACCES)
		doctor_mend(finding, "chmod 1777 " SHM);
}

static void judge_room(struct doctor_finding *finding, const struct statvfs *room)
{
	if (finding->bytes < ROOM_RINGS * RING_BYTES) {
		doctor_judge(finding, DOCTOR_COSTS,
		             "Room for %" PRId64 " publishers' rings; who comes then is refused "
		             "(No space left on device).",
		             finding->bytes / RING_BYTES);
		doctor_mend(finding, "mount -o remount,size=%" PRIu64 "M " SHM,
		            (uint64_t)room->f_blocks * room->f_frsize / MEBIBYTE + 1024);
	} else if (room->f_files > 0 && room->f_favail < ROOM_FILES) {
		doctor_judge(finding, DOCTOR_COSTS,
		             "Room for %" PRIu64 " files; each publisher and each subscriber has "
		             "two.",
		             (uint64_t)room->f_favail);
		doctor_mend(finding, "mount -o remount,nr_inodes=%" PRIu64 " " SHM,
		            (uint64_t)room->f_files + 16 * ROOM_FILES);
	} else if (!is_memory(SHM)) {
		doctor_judge(finding, DOCTOR_COSTS,
		             "It is no memory file system: what is made there is written to a "
		             "disk, again and again.");
		doctor_mend(finding, "mount -t tmpfs -o mode=1777 tmpfs " SHM);
	}
}

static void look_at_shm(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "memory", "shm");
	char left[16], all[16];
	struct statvfs room;
	int code;

	if (statvfs(SHM, &room) == -1) {
		doctor_say(finding, "not there");
		doctor_judge(finding, DOCTOR_TROUBLE,
		             "There is no " SHM " (%s): no topics, no shm: segments.",
		             strerror(errno));
		doctor_mend(finding, "mkdir -p " SHM " && mount -t tmpfs -o mode=1777 tmpfs " SHM);
		return;
	}
	finding->bytes = (int64_t)(room.f_bavail * room.f_frsize);
	doctor_say(finding, "%s of %s free", format_size((uint64_t)finding->bytes, left),
	           format_size(room.f_blocks * room.f_frsize, all));
	/* A tmpfs without a bound has no size. */
	if (room.f_blocks == 0) {
		finding->bytes = -1;
		doctor_say(finding, "without a bound");
	}
	code = try_ring();
	if (code < 0)
		judge_ring(finding, code, &room);
	else if (room.f_blocks > 0)
		judge_room(finding, &room);
}

/* --- where topics are --- */

static void root_path(char path[PATH_MAX])
{
	const char *given = getenv("AYRE_DIR");

	if (given && given[0])
		snprintf(path, PATH_MAX, "%s", given);
	else
		snprintf(path, PATH_MAX, SHM "/ayre-%u", geteuid());
}

static void judge_root(struct doctor_finding *finding, const char *path)
{
	struct stat status;

	if (stat(path, &status) == -1 && errno != ENOENT) {
		doctor_judge(finding, DOCTOR_TROUBLE, "Topics cannot be found there: %s.",
		             strerror(errno));
		doctor_mend(finding, "unset AYRE_DIR");
	} else if (access(path, F_OK) == 0 && access(path, W_OK | X_OK) == -1) {
		doctor_judge(finding, DOCTOR_TROUBLE, "No topic can be made there: %s.",
		             strerror(errno));
		doctor_mend(finding, "unset AYRE_DIR");
	} else if (access(path, F_OK) == 0 && !is_memory(path)) {
		doctor_judge(finding, DOCTOR_COSTS,
		             "AYRE_DIR is on a disk: each topic there is a log as well, which its "
		             "publishers wait for when they close.");
		doctor_mend(finding, "unset AYRE_DIR");
	}
}

static void look_at_root(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "memory", "root");
	struct ayre_topic_list *list;
	struct ayre_error error;
	char path[PATH_MAX];

	root_path(path);
	doctor_say(finding, "%s", path);
	if (ayre_topic_list_new(NULL, &list, &error) < 0) {
		doctor_judge_error(finding, &error);
		if (error.code == -EPERM)
			doctor_mend(finding, "rm -r %s", path);
		else
			doctor_mend(finding, "unset AYRE_DIR");
		return;
	}
	finding->count = (int64_t)ayre_topic_list_count(list);
	ayre_topic_list_free(list);
	doctor_say(finding, "%s: %" PRId64 " topics", path, finding->count);
	judge_root(finding, path);
}

/* --- System V --- */

static void look_at_sysv_size(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "memory", "sysv-size");
	/* Beyond what one process can map, nobody asks. */
	uint64_t most = UINT64_MAX, pages = UINT64_MAX;
	char line[64], size[16];
	struct statvfs room;

	doctor_read_line("/proc/sys/kernel/shmmax", line, sizeof(line));
	if (line[0])
		most = strtoull(line, NULL, 10);
	doctor_read_line("/proc/sys/kernel/shmall", line, sizeof(line));
	if (line[0])
		pages = strtoull(line, NULL, 10);
	if (pages < most / (uint64_t)sysconf(_SC_PAGESIZE))
		most = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	finding->bytes = most > INT64_MAX ? INT64_MAX : (int64_t)most;
	doctor_say(finding, "%s", format_size(most, size));
	if (statvfs(SHM, &room) == -1 || most >= room.f_blocks * room.f_frsize)
		return;
	doctor_judge(finding, DOCTOR_COSTS,
	             "A sysv: segment, or all of them, end there, though " SHM " is larger.");
	doctor_mend(finding, "sysctl -w kernel.shmmax=18446744073692774399 kernel.shmall="
	                     "18446744073692774399");
}

static void look_at_sysv_count(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "memory", "sysv-count");
	struct ayre_segment_list_options options = {.size = sizeof(options),
	                                            .backings = 1u << AYRE_BACKING_SYSV};
	struct ayre_segment_list *list;
	struct ayre_error error;
	int64_t most = INT64_MAX;

	if (ayre_segment_list_new(&options, &list, &error) < 0) {
		doctor_judge_error(finding, &error);
		return;
	}
	finding->count = (int64_t)ayre_segment_list_count(list);
	ayre_segment_list_free(list);
	(void)doctor_read_number("/proc/sys/kernel/shmmni", &most);
	doctor_say(finding, "%" PRId64 " of %" PRId64, finding->count, most);
	if (finding->count < most - most / 10)
		return;
	doctor_judge(finding, DOCTOR_COSTS,
	             "Almost as many System V segments as there may be: the next are refused (No "
	             "space left on device).");
	doctor_mend(finding, "sysctl -w kernel.shmmni=%" PRId64, most < 16384 ? 2 * most : 32768);
}

/* --- policy --- */

static void look_at_available(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "memory", "available");
	char size[16];

	finding->bytes = (int64_t)bench_available_bytes();
	doctor_say(finding, "%s", format_size((uint64_t)finding->bytes, size));
	if (finding->bytes < MEMORY_BYTES)
		doctor_judge(finding, DOCTOR_COSTS,
		             "Segments, rings and replies of 16M or more are refused when the "
		             "machine has less left than that.");
}

static void look_at_overcommit(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "memory", "overcommit");
	int64_t mode = 0;

	(void)doctor_read_number("/proc/sys/vm/overcommit_memory", &mode);
	finding->count = mode;
	doctor_say(finding, "mode %" PRId64, mode);
	if (mode != 2)
		return;
	doctor_judge(finding, DOCTOR_COSTS,
	             "The kernel promises no more memory than it has: sysv: segments, a process "
	             "for each call of a large module, and what a module maps are refused "
	             "although memory is free.");
	doctor_mend(finding, "sysctl -w vm.overcommit_memory=0");
}

static void look_at_huge_pages(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "memory", "huge-pages");
	char choice[32];

	bench_read_choice("/sys/kernel/mm/transparent_hugepage/shmem_enabled", choice,
	                  sizeof(choice));
	doctor_say(finding, "%s", choice[0] ? choice : "the kernel has none");
	if (choice[0] && strcmp(choice, "never") != 0 && strcmp(choice, "deny") != 0)
		return;
	doctor_judge(finding, DOCTOR_COSTS,
	             "What is made with --huge has small pages: to touch it first takes up to 5 "
	             "times as long.");
	if (choice[0])
		doctor_mend(finding,
		            "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled");
}

void doctor_look_at_memory(struct doctor *doctor)
{
	look_at_shm(doctor);
	look_at_root(doctor);
	look_at_available(doctor);
	look_at_sysv_size(doctor);
	look_at_sysv_count(doctor);
	look_at_overcommit(doctor);
	look_at_huge_pages(doctor);
}
