/*
 * The list of segments: what can be asked for, processes that are others', that come and go, and
 * the two ways to ask for their maps.
 */
#include "list_world.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sys/process.h"
#include "sys/process_maps.h"

/* --- what is asked for --- */

static void only_the_backings_asked_for_are_listed(void **state)
{
	const struct ayre_segment_entry *entry;
	char *path = file_path("x");

	(void)state;
	make_sysv(list_key(), PAGE);
	make_file(shm_path("x"), PAGE);
	make_file(path, PAGE);
	start(&(struct task){.run = map_path, .path = path});
	start(&(struct task){.run = map_memory_file, .path = "x"});
	for (uint32_t backing = AYRE_BACKING_SYSV; backing <= AYRE_BACKING_MEMFD; backing++) {
		look(1u << backing);
		assert_true(ayre_segment_list_count(list) > 0);
		for (size_t i = 0; (entry = ayre_segment_list_entry(list, i)); i++)
			assert_int_equal(entry->backing, backing);
	}
}

static void names_of_nothing_are_refused(void **state)
{
	struct ayre_segment_list *unset = (struct ayre_segment_list *)&unset, *result = unset;
	struct {
		struct ayre_segment_list_options options;
		int code;
	} cases[] = {
		{{.name = shm_name("none")}, -ENOENT},
		{{.name = file_path("none")}, -ENOENT},
		{{.name = word("sysv:0x%08x", list_key())}, -ENOENT},
		{{.name = directory}, -EISDIR},
		{{.name = file_path("fifo")}, -ENODEV},
		{{.name = shm_name("link")}, -ELOOP},
		{{.name = "shm:a/b"}, -EINVAL},
		{{.name = ""}, -EINVAL},
		{{.backings = 1u << 0}, -EINVAL},
		{{.backings = 1u << 5}, -EINVAL},
	};

	(void)state;
	assert_int_equal(mkfifo(file_path("fifo"), 0600), 0);
	assert_int_equal(symlink("/etc/passwd", shm_path("link")), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ayre_error error = {0};

		cases[i].options.size = sizeof(cases[i].options);
		assert_int_equal(ayre_segment_list_new(&cases[i].options, &result, &error),
		                 cases[i].code);
		assert_int_equal(error.code, cases[i].code);
		assert_true(error.step[0]);
		assert_ptr_equal(result, unset);
	}
	cases[0].options.size = 0;
	assert_int_equal(ayre_segment_list_new(&cases[0].options, &result, NULL), -EINVAL);
}

/* --- processes --- */

static int count_map(const struct ayrei_process_map *map, void *context)
{
	(void)map;
	++*(int *)context;
	return 0;
}

/* Process 2 is one, unless /proc is a container's. It has nothing to hide from anybody. */
static int see_kernel_thread(void)
{
	struct ayrei_processes *processes;
	struct ayrei_process_identity identity;
	int result, count = 0;

	if (ayrei_processes_open(&processes) != 0)
		return 10;
	if (ayrei_process_identity(processes, 2, &identity) != 0 ||
	    strcmp(identity.command, "kthreadd") != 0)
		return 0;
	result = ayrei_process_shared_maps(processes, 2, count_map, &count);
	ayrei_processes_close(processes);
	return result == -EACCES || count ? 11 : 0;
}

/* Runs as nobody, who may not look into root's processes. Returns an exit status; 0: all well. */
static int look_as_nobody(pid_t hidden, bool hide)
{
	/* In this child's view alone. */
	if (hide && (unshare(CLONE_NEWNS) == -1 ||
	             mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	             mount("proc", "/proc", "proc", 0, "hidepid=1") == -1))
		return CHILD_SKIPS;
	if (setgid(NOBODY) == -1 || setuid(NOBODY) == -1)
		return 1;
	if (ayre_segment_list_new(NULL, &list, NULL) != 0)
		return 2;
	if (ayre_segment_list_unseen(list) == 0)
		return 3;
	if (count_of_user(hidden) != 0)
		return 4;
	/* The segment itself is there for all to see. */
	if (!find(shm_name("x"), 0))
		return 5;
	ayre_segment_list_free(list);
	return hide ? 0 : see_kernel_thread();
}

static void processes_of_others_are_counted_as_unseen(void **state)
{
	pid_t hidden;

	(void)state;
	if (geteuid() != 0)
		skip_because("only root can become another user");
	make_file(shm_path("x"), PAGE);
	hidden = start(&(struct task){.run = map_path, .path = shm_path("x")});
	for (int hide = 0; hide < 2; hide++) {
		pid_t child = fork();
		int status;

		if (child == 0)
			_exit(look_as_nobody(hidden, hide));
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WEXITSTATUS(status) == CHILD_SKIPS)
			skip_because("no mount namespace for this user");
		assert_int_equal(status, 0);
	}
}

static void processes_that_come_and_go_are_no_errors(void **state)
{
	pid_t spawner = fork();

	(void)state;
	assert_true(spawner >= 0);
	if (spawner == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			/* Each has a shared map, so that it is looked into further. */
			pid_t child = fork();

			if (child == 0) {
				kill(start(&(struct task){.run = map_memory_file, .path = "brief"}),
				     SIGKILL);
				_exit(0);
			}
			waitpid(child, NULL, 0);
		}
	}
	own_child(spawner);
	for (int i = 0; i < 100; i++)
		look(0);
}

/* With few descriptors left: an error, never a shorter list. Returns an exit status. */
static int look_with_descriptors(rlim_t descriptors, size_t count)
{
	struct rlimit limit = {.rlim_cur = descriptors, .rlim_max = descriptors};
	int result;

	setrlimit(RLIMIT_NOFILE, &limit);
	result = ayre_segment_list_new(NULL, &list, NULL);
	if (result < 0)
		return result == -EMFILE ? 0 : 1;
	if (!find(shm_name("x"), 0) || !find(shm_name("x"), 0)->tag ||
	    find(shm_name("x"), 0)->user_count != count)
		return 2;
	ayre_segment_list_free(list);
	return 0;
}

static void a_list_is_whole_or_an_error(void **state)
{
	struct ayre_segment *segment;

	(void)state;
	open_tagged(shm_name("x"), &segment);
	ayre_segment_close(segment);
	start(&(struct task){.run = map_path, .path = shm_path("x")});
	for (rlim_t descriptors = 3; descriptors < 16; descriptors++) {
		pid_t child = fork();
		int status;

		if (child == 0)
			_exit(look_with_descriptors(descriptors, 1));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

/* --- the two ways to ask for maps --- */

/* What is told of each map, as one text. */
static int note_map(const struct ayrei_process_map *map, void *context)
{
	char *text = context;
	size_t length = strlen(text);

	snprintf(text + length, 16 * PAGE - length, "%lx-%lx +%lx %lx:%lx %d %s|",
	         (unsigned long)map->begin, (unsigned long)map->end, (unsigned long)map->offset,
	         (unsigned long)map->device, (unsigned long)map->inode, map->writable, map->path);
	return 0;
}

static void text_and_queries_tell_the_same(void **state)
{
	static struct ayrei_maps_reader query, text = {.text_only = true};
	static char by_query[16 * PAGE], by_text[16 * PAGE];
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	int file;
	char *at;

	(void)state;
	make_file(file_path("a b\nc"), 4 * PAGE);
	file = open(file_path("a b\nc"), O_RDWR | O_CLOEXEC);
	at = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, file, 0);
	assert_int_equal(mprotect(at, PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(ayrei_maps_visit(&query, maps, note_map, by_query), 0);
	/* A kernel that knows no queries has had to read. */
	assert_int_equal(lseek(maps, 0, SEEK_SET), 0);
	assert_int_equal(ayrei_maps_visit(&text, maps, note_map, by_text), 0);
	assert_non_null(strstr(by_text, word("1 %s|", file_path("a b\nc"))));
	assert_non_null(strstr(by_text, word("0 %s|", file_path("a b\nc"))));
	assert_string_equal(by_query, by_text);
	munmap(at, 4 * PAGE);
	close(file);
	close(maps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(only_the_backings_asked_for_are_listed),
		test(names_of_nothing_are_refused),
		test(processes_of_others_are_counted_as_unseen),
		test(processes_that_come_and_go_are_no_errors),
		test(a_list_is_whole_or_an_error),
		test(text_and_queries_tell_the_same),
	};

	return run_counted("list of processes", tests);
}
