/*
 * Fault injection for topics: in every operation the n-th call of the kernel or the heap that can
 * fail does fail, for every n until none is reached, with each error that it can have.
 *
 * What has to hold whatever fails: the result is that error or a success that is one; outputs are
 * untouched by a failure; nothing is left behind; and the same operation then succeeds.
 */
#include "topic/fault_operations.h"

#include "memory/guard_range.h"
#include "support/fault.h"

/* Shared with the test that runs: how many it has tried, and where it was when it failed. */
static struct progress {
	unsigned int points_tried;
	char where[256];
} * progress;

/* Of the whole program. */
static unsigned int points_tried;

static const struct ayre_ends no_ends = {{-1, -1, -1, -1}};

static void begin(struct scene *scene, const struct operation *operation)
{
	*scene = (struct scene){
		.operation = operation,
		.published = NO_PUBLISHER,
		.subscribed = NO_SUBSCRIBER,
		.ends = no_ends,
		.made = no_ends,
	};
	operation->prepare(scene);
}

static void end(struct scene *scene)
{
	int result;

	if (scene->published != NO_PUBLISHER)
		ayre_publisher_close(scene->published);
	if (scene->subscribed != NO_SUBSCRIBER)
		ayre_subscriber_close(scene->subscribed);
	ayre_publisher_close(scene->publisher);
	ayre_publisher_close(scene->newcomer);
	ayre_subscriber_close(scene->subscriber);
	ayre_subscriber_close(scene->audience);
	ayre_ends_close(&scene->ends);
	ayre_ends_close(&scene->made);
	result = ayre_topic_remove(SCENE_NAME, false, NULL);
	require(result == 0 || result == -ENOENT);
}

static bool is_any(const struct fault_report *report, const char *const symbols[])
{
	for (size_t i = 0; report->symbol && symbols[i]; i++)
		if (strcmp(report->symbol, symbols[i]) == 0)
			return true;
	return false;
}

/* When what removes something is what fails, or what looks for it, it stays. */
static bool may_leave_something(const struct scene *scene, const struct fault_report *report)
{
	static const char *const removing[] = {"unlink", "rmdir", NULL};

	return is_any(report, removing) || scene->operation->kind == CLOSES ||
	       (report->symbol && scene->operation->kind == REMOVES);
}

static void require_no_leak(const struct scene *scene, const struct fault_report *report,
                            const struct counts *before)
{
	struct counts now = take_counts();
	const char *line;

	/* A topic that was made for an end that could not be opened is a topic: two files and all. */
	if (may_leave_something(scene, report) || (before->topics == 0 && now.topics == 3 &&
	                                           ayre_topic_create(NULL, SCENE_NAME, NULL) == 0))
		now.topics = before->topics;
	line = counts_differ(&now, before);
	if (line)
		fprintf(stderr, "%s\n", line);
	require(!line);
}

/* Some are told in the library's own words. */
static int code_of(const struct fault_report *report)
{
	if (strcmp(report->symbol, "open unnamed") == 0 && report->error == EISDIR)
		return EOPNOTSUPP;
	/* A file system that cannot rename without replacing renames no directory so. */
	if (strcmp(report->symbol, "renameat2") == 0 && report->error == EINVAL)
		return EPERM;
	/* Too much is locked; for what cannot be had now -EAGAIN stands. */
	if (strcmp(report->symbol, "mmap") == 0 && report->error == EAGAIN)
		return ENOMEM;
	return report->error;
}

static void require_failed_cleanly(const struct scene *scene, int result,
                                   const struct fault_report *report)
{
	require(report->symbol);
	require(result == -code_of(report) && result != -EINTR);
	require(scene->error.code == 0 || scene->error.code == result);
	require(scene->published == NO_PUBLISHER && scene->subscribed == NO_SUBSCRIBER);
	require(memcmp(&scene->made, &no_ends, sizeof(no_ends)) == 0);
}

/* false: the operation makes fewer calls than that. */
static bool inject(const struct operation *operation, unsigned int nth, unsigned int variant)
{
	static struct scene scene;
	struct counts before = take_counts(), with_scene;
	struct fault_report report;
	long blocks_before = fault_blocks(), blocks;
	int result;

	begin(&scene, operation);
	with_scene = take_counts();
	blocks = fault_blocks();
	fault_arm(nth, variant);
	result = operation->run(&scene);
	report = fault_disarm();
	snprintf(progress->where, sizeof(progress->where),
	         "%s: call %u of %u, %s, fails with %s: result %d", operation->title, nth,
	         report.calls, report.symbol ? report.symbol : "none",
	         report.error == FAULT_SHORT ? "a part done" : strerror(report.error), result);
	if (result < 0) {
		require_failed_cleanly(&scene, result, &report);
		/* A handle may have learnt something before it failed, and keeps that. */
		if (operation->kind == OPENS) {
			require_no_leak(&scene, &report, &with_scene);
			require(fault_blocks() == blocks || nth == 0);
		}
		result = operation->run(&scene);
		/* What could not be removed to the end has no name all the same. */
		require(result >= 0 || (result == -ENOENT && operation->kind == REMOVES));
	}
	operation->verify(&scene);
	end(&scene);
	if (may_leave_something(&scene, &report))
		sweep();
	require_no_leak(&scene, &report, &before);
	/* The first run allocates what stays. */
	require(nth == 0 || fault_blocks() == blocks_before);
	progress->points_tried += report.symbol != NULL;
	return report.calls >= nth;
}

/* A slot for the guard is allocated once, and then used again: so there are enough of them. */
static void reserve_guards(void)
{
	struct ayrei_guard_range *slots[64];

	for (int i = 0; i < 64; i++)
		slots[i] = ayrei_guard_watch(NULL, 0, true);
	for (int i = 0; i < 64; i++)
		ayrei_guard_forget(slots[i]);
}

static int survive(void *context)
{
	const struct operation *operation = context;

	limit_time(50);
	reserve_guards();
	/* Twice without: what is allocated for good is allocated. */
	inject(operation, 0, 0);
	inject(operation, 0, 0);
	for (unsigned int variant = 0; variant < fault_variants(); variant++)
		for (unsigned int nth = 1; inject(operation, nth, variant); nth++)
			continue;
	progress->where[0] = '\0';
	return 0;
}

static void survives_every_fault(void **state)
{
	unsigned int before = points_tried;
	char line[sizeof(progress->where)];
	int status;

	progress = share_memory(sizeof(*progress));
	status = run_in_child(survive, *state);
	points_tried = before + progress->points_tried;
	snprintf(line, sizeof(line), "%s", progress->where);
	unshare_memory(progress, sizeof(*progress));
	if (line[0])
		print_error("%s\n", line);
	assert_exited(status);
}

int main(void)
{
	static struct CMUnitTest tests[64];
	int result;

	use_topic_root();
	for (size_t i = 0; i < operation_count; i++)
		tests[i] = (struct CMUnitTest)test_of(survives_every_fault, operations[i].title,
		                                      &operations[i]);
	result = run_counted_of("faults of topics", tests, operation_count);
	print_message("# fault points tried: %u\n", points_tried);
	return result;
}
