/*
 * What the dead left: what ayre gc would remove, topics whose publishers died, damaged ones, segments that are not
 * finished or that nobody has.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <ayre.h>

#include "command/doctor.h"
#include "command/output.h"

#define SHM        "/dev/shm"
#define CREATING   ".ayre-creating" /* behind the name of what a creator has locked */
#define UNFINISHED 0601u            /* the mode of a System V segment that is being made */
#define NAMES_MAX  4                /* in one command */

/* "ayre segment remove A; ayre segment remove B", as far as there is room. */
static void add_command(struct doctor_finding *finding, const char *command, const char *name)
{
	size_t length = strlen(finding->mend);
	char word[300];

	doctor_quote(name, word, sizeof(word));
	if (length + strlen(command) + strlen(word) + 4 < sizeof(finding->mend))
		sprintf(finding->mend + length, "%s%s %s", length ? "; " : "", command, word);
}

/* "3, 12K"; or "none". */
static void say_count(struct doctor_finding *finding)
{
	char size[16];

	if (finding->count == 0)
		doctor_say(finding, "none");
	else if (finding->bytes < 0)
		doctor_say(finding, "%" PRId64, finding->count);
	else
		doctor_say(finding, "%" PRId64 ", %s", finding->count,
		           format_size((uint64_t)finding->bytes, size));
}

/* --- what ayre gc would remove --- */

struct tally {
	int64_t count, failed_count, content_count;
	uint64_t bytes, content_bytes;
	char failed[200]; /* one of them, and why */
};

static int visit(const struct ayre_topic_leftover *leftover, void *context)
{
	struct tally *tally = context;

	if (leftover->kind == AYRE_LEFTOVER_CONTENT) {
		tally->content_count++;
		tally->content_bytes += leftover->bytes;
	} else if (leftover->code) {
		tally->failed_count++;
		snprintf(tally->failed, sizeof(tally->failed), "%s: %s", leftover->path,
		         strerror(-leftover->code));
	} else {
		tally->count++;
		tally->bytes += leftover->bytes;
	}
	return 0;
}

static void say_removable(struct doctor *doctor, const struct tally *tally)
{
	struct doctor_finding *finding = doctor_add(doctor, "leftovers", "removable");

	finding->count = tally->count;
	finding->bytes = (int64_t)tally->bytes;
	say_count(finding);
	if (tally->count == 0)
		return;
	doctor_judge(finding, DOCTOR_COSTS,
	             "What dead processes left in topics takes that much memory.");
	doctor_mend(finding, "ayre gc");
}

static void say_stuck(struct doctor *doctor, const struct tally *tally)
{
	struct doctor_finding *finding = doctor_add(doctor, "leftovers", "not-removable");

	finding->count = tally->failed_count;
	say_count(finding);
	if (tally->failed_count == 0)
		return;
	doctor_judge(finding, DOCTOR_COSTS, "ayre gc of this user cannot remove it: %s.",
	             tally->failed);
	doctor_mend(finding, "sudo ayre gc");
}

static void say_content(struct doctor *doctor, const struct tally *tally)
{
	struct doctor_finding *finding = doctor_add(doctor, "leftovers", "content");

	/* Lanes that nobody has; whoever comes late reads them: that is what they are there for. */
	finding->count = tally->content_count;
	finding->bytes = (int64_t)tally->content_bytes;
	say_count(finding);
}

static void look_at_clearing(struct doctor *doctor)
{
	struct tally tally = {0};
	struct ayre_topic_clear_options options = {
		.size = sizeof(options),
		.dry_run = true,
		.visit = visit,
		.context = &tally,
	};
	struct ayre_error error;

	if (ayre_topic_clear(&options, &error) < 0) {
		struct doctor_finding *finding = doctor_add(doctor, "leftovers", "removable");

		doctor_say(finding, "cannot be told");
		doctor_judge_error(finding, &error);
		return;
	}
	say_removable(doctor, &tally);
	say_stuck(doctor, &tally);
	say_content(doctor, &tally);
}

/* --- topics --- */

/* Lanes whose last publisher did not close. */
static int64_t count_deaths(const char *name)
{
	const struct ayre_topic_publisher *publisher;
	struct ayre_topic_look *look;
	int64_t count = 0;

	if (ayre_topic_look_new(name, &look, NULL) < 0)
		return 0;
	for (size_t i = 0; (publisher = ayre_topic_look_publisher(look, i)); i++)
		/* Of a lane whose ring is gone nobody knows. */
		count += !publisher->live && !publisher->closed && !publisher->problem &&
		         publisher->owners > 0;
	ayre_topic_look_free(look);
	return count;
}

static void look_at_deaths(struct doctor *doctor, const struct ayre_topic_list *list)
{
	struct doctor_finding *finding = doctor_add(doctor, "leftovers", "dead-publishers");
	const struct ayre_topic_entry *entry;

	finding->count = 0;
	for (size_t i = 0; (entry = ayre_topic_list_entry(list, i)); i++) {
		int64_t deaths = entry->problem ? 0 : count_deaths(entry->name);

		finding->count += deaths;
		if (deaths > 0)
			add_command(finding, "ayre topic remove", entry->name);
	}
	say_count(finding);
	if (finding->count > 0)
		doctor_judge(finding, DOCTOR_COSTS,
		             "They died without closing: who reads to the end is told so (sub "
		             "--until-closed: exit 3), until the next publisher goes on there. To "
		             "remove the topic takes its messages along.");
}

static void look_at_damage(struct doctor *doctor, const struct ayre_topic_list *list)
{
	struct doctor_finding *finding = doctor_add(doctor, "leftovers", "damaged-topics");
	const struct ayre_topic_entry *entry;
	const char *last = NULL, *problem = NULL;

	finding->count = 0;
	for (size_t i = 0; (entry = ayre_topic_list_entry(list, i)); i++) {
		if (!entry->problem)
			continue;
		finding->count++;
		last = entry->name;
		problem = entry->problem;
		add_command(finding, "ayre topic remove", entry->name);
	}
	say_count(finding);
	if (finding->count > 0)
		doctor_judge(finding, DOCTOR_TROUBLE, "%s cannot be opened: %s.", last, problem);
}

/* After the machine has started anew, all of them; the next who opens one makes its rings. */
static void look_at_logs(struct doctor *doctor, const struct ayre_topic_list *list)
{
	struct doctor_finding *finding = doctor_add(doctor, "leftovers", "logs");
	const struct ayre_topic_entry *entry;
	int64_t without = 0;

	finding->count = 0;
	for (size_t i = 0; (entry = ayre_topic_list_entry(list, i)); i++) {
		finding->count += entry->durable;
		without += entry->durable && !entry->memory_path;
	}
	say_count(finding);
	if (without > 0)
		doctor_say(finding, "%" PRId64 ", %" PRId64 " with nothing in memory yet",
		           finding->count, without);
}

static void look_at_topics(struct doctor *doctor)
{
	struct ayre_topic_list *list;

	/* What is wrong with the root is told where it is looked at. */
	if (ayre_topic_list_new(NULL, &list, NULL) < 0)
		return;
	look_at_deaths(doctor, list);
	look_at_damage(doctor, list);
	look_at_logs(doctor, list);
	ayre_topic_list_free(list);
}

/* --- segments --- */

static bool is_abandoned(const struct ayre_segment_entry *entry)
{
	return entry->uid == geteuid() && entry->attached_count == 0 && !entry->removed;
}

static void add_segment(struct doctor_finding *finding, const struct ayre_segment_entry *entry)
{
	char id[24];

	snprintf(id, sizeof(id), "%" PRId64, entry->id);
	if (finding->count++ >= NAMES_MAX)
		return;
	/* A private one has no name that leads to it. */
	if (entry->key == 0)
		add_command(finding, "ipcrm -m", id);
	else
		add_command(finding, "ayre segment remove", entry->name);
}

static void look_at_sysv(struct doctor *doctor, const struct ayre_segment_list *list,
                         bool unfinished)
{
	struct doctor_finding *finding =
		doctor_add(doctor, "leftovers", unfinished ? "unfinished-sysv" : "unused-sysv");
	const struct ayre_segment_entry *entry;

	finding->count = finding->bytes = 0;
	for (size_t i = 0; (entry = ayre_segment_list_entry(list, i)); i++) {
		if (!is_abandoned(entry) || (entry->mode == UNFINISHED) != unfinished)
			continue;
		add_segment(finding, entry);
		finding->bytes += (int64_t)entry->resident_bytes;
	}
	say_count(finding);
	if (finding->count > 0)
		doctor_judge(finding, DOCTOR_COSTS, "%s",
		             unfinished ? "Their creators died; the next create of the same name "
		                          "makes them anew."
		                        : "Nobody has these System V segments attached, and they "
		                          "keep their memory until they are removed, or the "
		                          "machine ends. Remove what nobody comes back for.");
}

/* A living creator holds its lock; for a moment we do, which nobody waits long for. */
static bool is_left(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool is = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0;

	if (fd >= 0)
		close(fd);
	return is;
}

static void look_at_creating(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "leftovers", "unfinished-shm");
	const struct dirent *entry;
	DIR *stream = opendir(SHM);

	finding->count = 0;
	while (stream && (entry = readdir(stream))) {
		size_t length = strlen(entry->d_name), tail = strlen(CREATING);
		char path[sizeof(SHM) + 256];

		if (entry->d_name[0] != '.' || length <= tail ||
		    strcmp(entry->d_name + length - tail, CREATING) != 0 ||
		    !is_left(dirfd(stream), entry->d_name))
			continue;
		snprintf(path, sizeof(path), SHM "/%s", entry->d_name);
		finding->count++;
		add_command(finding, "rm", path);
	}
	if (stream)
		closedir(stream);
	say_count(finding);
	if (finding->count > 0)
		doctor_judge(finding, DOCTOR_COSTS,
		             "Their creators died; the next create of the same name takes them "
		             "over.");
}

static void look_at_segments(struct doctor *doctor)
{
	struct ayre_segment_list_options options = {.size = sizeof(options),
	                                            .backings = 1u << AYRE_BACKING_SYSV};
	struct ayre_segment_list *list;

	/* That there is no table is told where their number is looked at. */
	if (ayre_segment_list_new(&options, &list, NULL) == 0) {
		look_at_sysv(doctor, list, true);
		look_at_sysv(doctor, list, false);
		ayre_segment_list_free(list);
	}
	look_at_creating(doctor);
}

void doctor_look_at_leftovers(struct doctor *doctor)
{
	look_at_clearing(doctor);
	look_at_topics(doctor);
	look_at_segments(doctor);
}
