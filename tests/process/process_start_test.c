/*
 * Starting a program: what it is given, how it is found, and each step that can fail.
 */
#include "process/probe.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char report[REPORT_BYTES];

/* --- a directory with programs --- */

static const char *path_of(const char *name)
{
	static char paths[4][300];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", test_directory(), name);
	return path;
}

static const char *make_script(const char *name, const char *text, mode_t mode)
{
	const char *path = path_of(name);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0700);

	require(fd >= 0);
	require(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	require(fchmod(fd, mode) == 0);
	close(fd);
	return path;
}

static void make_directory(const char *name)
{
	require(mkdir(path_of(name), 0755) == 0);
}

static void remove_all(const char *const *names)
{
	for (; *names; names++)
		require(remove(path_of(*names)) == 0);
}

static const char *variable(const char *format, ...)
{
	static char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return text;
}

static int status_of(const struct ayre_process_options *options, const char *name)
{
	struct ayre_process_end end = run(options, ARGUMENTS(name));

	require(end.outcome == AYRE_OUTCOME_EXITED);
	return end.status;
}

/* --- what it is given --- */

CHILD_TEST(arguments_arrive_byte_for_byte)
{
	int out = make_file_of_its_own();
	char odd[256], got[300], longest[131072];
	const struct ayre_wire wire = {1, out};

	for (int i = 1; i < 256; i++)
		odd[i - 1] = (char)i;
	odd[255] = '\0';
	run(PROCESS_OPTIONS(.wires = &wire, .wire_count = 1), ARGUMENTS("printf", "%s|", odd, ""));
	require(pread(out, got, sizeof(got), 0) == 257);
	require(memcmp(got, odd, 255) == 0);
	require(memcmp(got + 255, "||", 2) == 0);
	/* The longest that the kernel takes, and one byte more. */
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	require(status_of(NULL, "true") == 0);
	require(run(NULL, ARGUMENTS("true", longest)).status == 0);
	close(out);
	return 0;
}

CHILD_TEST(the_first_argument_is_only_a_name)
{
	const struct ayre_process_options *options = PROCESS_OPTIONS(.program = "sh");

	require(run(options, ARGUMENTS("anything", "-c", "test \"$0\" = anything")).status == 0);
	require(run(options, ARGUMENTS("", "-c", "exit 5")).status == 5);
	return 0;
}

CHILD_TEST(the_environment_is_the_given_or_the_present_one)
{
	require(setenv("AYRE_TEST_WORD", "a=b\nc", 1) == 0);
	probe(PROCESS_OPTIONS(), report);
	require(says(report, "variable AYRE_TEST_WORD=a=b\nc"));
	require(unsetenv("AYRE_TEST_WORD") == 0);
	probe(PROCESS_OPTIONS(), report);
	require(!strstr(report, "AYRE_TEST_WORD"));
	probe(PROCESS_OPTIONS(.environment = ARGUMENTS("ONE=1", "TWO=")), report);
	require(count_lines(report, "variable ") == 2);
	require(says(report, "variable ONE=1") && says(report, "variable TWO="));
	probe(PROCESS_OPTIONS(.environment = (const char *const[]){NULL}), report);
	require(count_lines(report, "variable ") == 0);
	return 0;
}

CHILD_TEST(the_directory_is_the_childs_alone)
{
	char before[4096], after[4096];

	require(getcwd(before, sizeof(before)) != NULL);
	probe(PROCESS_OPTIONS(.directory = test_directory()), report);
	require(says(report, "directory %s", test_directory()));
	require(getcwd(after, sizeof(after)) != NULL);
	require(strcmp(before, after) == 0);
	/* A relative one begins at the host's. */
	require(chdir("/usr") == 0);
	probe(PROCESS_OPTIONS(.directory = "bin/.."), report);
	require(says(report, "directory /usr"));
	return 0;
}

CHILD_TEST(a_relative_program_begins_at_the_directory)
{
	make_directory("d");
	make_script("d/program", "#!/bin/sh\nexit 7\n", 0755);
	require(status_of(PROCESS_OPTIONS(.directory = test_directory()), "d/program") == 7);
	require(status_of(PROCESS_OPTIONS(.directory = path_of("d")), "./program") == 7);
	fails(PROCESS_OPTIONS(.directory = test_directory()), ARGUMENTS("./program"), "find",
	      -ENOENT);
	/* So does a relative element of PATH. */
	require(status_of(PROCESS_OPTIONS(.directory = test_directory(),
	                                  .environment = ARGUMENTS("PATH=/none:d")),
	                  "program") == 7);
	remove_all(ARGUMENTS("d/program", "d"));
	return 0;
}

/* --- how it is found --- */

CHILD_TEST(path_is_the_childs_own)
{
	make_script("program", "#!/bin/sh\nexit 9\n", 0755);
	require(setenv("PATH", test_directory(), 1) == 0);
	require(status_of(NULL, "program") == 9);
	fails(PROCESS_OPTIONS(.environment = ARGUMENTS("PATH=/bin")), ARGUMENTS("program"), "find",
	      -ENOENT);
	require(strstr(failure_text, "not in any directory of PATH"));
	require(setenv("PATH", "/bin", 1) == 0);
	fails(NULL, ARGUMENTS("program"), "find", -ENOENT);
	require(status_of(PROCESS_OPTIONS(.environment =
	                                          ARGUMENTS(variable("PATH=%s", test_directory()))),
	                  "program") == 9);
	/* The first PATH counts, as for getenv(3). */
	require(status_of(PROCESS_OPTIONS(.environment =
	                                          ARGUMENTS(variable("PATH=%s", test_directory()),
	                                                    "PATH=/none")),
	                  "program") == 9);
	remove_all(ARGUMENTS("program"));
	return 0;
}

CHILD_TEST(an_empty_element_of_path_is_the_working_directory)
{
	static const char *const paths[] = {"PATH=", "PATH=:/none",
	                                    "PATH=/none:", "PATH=/none::/bin", "PATH=."};

	make_script("program", "#!/bin/sh\nexit 9\n", 0755);
	require(chdir(test_directory()) == 0);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		require(status_of(PROCESS_OPTIONS(.environment = ARGUMENTS(paths[i])), "program") ==
		        9);
	require(chdir("/") == 0);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		fails(PROCESS_OPTIONS(.environment = ARGUMENTS(paths[i])), ARGUMENTS("program"),
		      "find", -ENOENT);
	remove_all(ARGUMENTS("program"));
	return 0;
}

CHILD_TEST(without_path_the_system_is_searched)
{
	require(status_of(PROCESS_OPTIONS(.environment = (const char *const[]){NULL}), "true") ==
	        0);
	require(status_of(PROCESS_OPTIONS(.environment = ARGUMENTS("PATHS=/none")), "true") == 0);
	return 0;
}

CHILD_TEST(what_may_not_be_executed_is_passed_over_and_remembered)
{
	char *path = strdup(variable("PATH=%s/a:/none:%s/file:%s/b:/none", test_directory(),
	                             test_directory(), test_directory()));

	make_directory("a");
	make_directory("b");
	make_script("file", "", 0644);
	make_script("a/program", "#!/bin/sh\nexit 1\n", 0644);
	make_script("b/program", "#!/bin/sh\nexit 2\n", 0755);
	require(status_of(PROCESS_OPTIONS(.environment = ARGUMENTS(path)), "program") == 2);
	require(unlink(path_of("b/program")) == 0);
	fails(PROCESS_OPTIONS(.environment = ARGUMENTS(path)), ARGUMENTS("program"), "find",
	      -EACCES);
	require(unlink(path_of("a/program")) == 0);
	make_directory("a/program");
	fails(PROCESS_OPTIONS(.environment = ARGUMENTS(path)), ARGUMENTS("program"), "find",
	      -EACCES);
	require(rmdir(path_of("a/program")) == 0);
	require(symlink("program", path_of("a/program")) == 0);
	fails(PROCESS_OPTIONS(.environment = ARGUMENTS(path)), ARGUMENTS("program"), "find",
	      -ENOENT);
	/* With a slash PATH has no say. */
	make_script("b/other", "#!/bin/sh\nexit 2\n", 0755);
	fails(PROCESS_OPTIONS(.environment = ARGUMENTS(path)), ARGUMENTS("./other"), "find",
	      -ENOENT);
	free(path);
	remove_all(ARGUMENTS("a/program", "b/other", "file", "a", "b"));
	return 0;
}

CHILD_TEST(a_name_that_nothing_can_have_is_not_found)
{
	char name[400];

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	fails(NULL, ARGUMENTS(name), "find", -ENOENT);
	fails(NULL, ARGUMENTS(""), "find", -ENOENT);
	fails(PROCESS_OPTIONS(.program = ""), ARGUMENTS("true"), "find", -ENOENT);
	fails(NULL, ARGUMENTS("/none/true"), "find", -ENOENT);
	fails(NULL, ARGUMENTS("/bin/true/true"), "find", -ENOTDIR);
	return 0;
}

CHILD_TEST(what_is_no_program_is_refused_before_a_start)
{
	static const struct {
		const char *name, *text;
		mode_t mode;
		int code;
		const char *says;
	} cases[] = {
		{"text", "exit 0\n", 0755, -ENOEXEC, "begins with #!"},
		{"empty", "", 0755, -ENOEXEC, "begins with #!"},
		{"nobody", "#!/none/sh\n", 0755, -ENOENT, "interpreter"},
		{"blank", "#! \n", 0755, -ENOEXEC, "begins with #!"},
		{"returned", "#!/bin/sh\r\n", 0755, -ENOENT, "interpreter"},
		{"idle", "#!/bin/sh\n", 0644, -EACCES, "not executable"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *path = make_script(cases[i].name, cases[i].text, cases[i].mode);

		fails(NULL, ARGUMENTS(path), "find", cases[i].code);
		require(strstr(failure_text, cases[i].says));
		require(unlink(path) == 0);
	}
	fails(NULL, ARGUMENTS(test_directory()), "find", -EACCES);
	require(strstr(failure_text, "directory"));
	require(symlink("/none", path_of("link")) == 0);
	fails(NULL, ARGUMENTS(path_of("link")), "find", -ENOENT);
	require(mkfifo(path_of("fifo"), 0777) == 0);
	fails(NULL, ARGUMENTS(path_of("fifo")), "find", -EACCES);
	remove_all(ARGUMENTS("link", "fifo"));
	return 0;
}

CHILD_TEST(another_users_rights_are_asked)
{
	const char *path = make_script("private", "#!/bin/sh\nexit 3\n", 0700);

	if (!is_root())
		return CHILD_SKIPS;
	require(chmod(test_directory(), 0755) == 0);
	require(status_of(NULL, path) == 3);
	become_nobody();
	fails(NULL, ARGUMENTS(path), "find", -EACCES);
	fails(PROCESS_OPTIONS(.directory = "/root"), ARGUMENTS("true"), "directory", -EACCES);
	_exit(0);
}

/* What the tests before it leave is theirs: root has to take it away again. */
static void rights_of_another_user(void **state)
{
	another_users_rights_are_asked(state);
	if (is_root())
		assert_int_equal(unlink(path_of("private")), 0);
}

/* --- the steps that can fail --- */

static void *close_soon(void *argument)
{
	usleep(10000);
	close(*(int *)argument);
	return NULL;
}

CHILD_TEST(a_file_that_is_just_written_is_waited_for)
{
	const char *path = path_of("copy");
	char command[700];
	pthread_t thread;
	int fd;

	snprintf(command, sizeof(command), "cp /bin/true %s", path);
	require(run(NULL, ARGUMENTS("sh", "-c", command)).status == 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	require(pthread_create(&thread, NULL, close_soon, &fd) == 0);
	require(status_of(NULL, path) == 0);
	pthread_join(thread, NULL);
	/* But not for ever. */
	fd = open(path, O_RDWR | O_CLOEXEC);
	fails(NULL, ARGUMENTS(path), "execute", -ETXTBSY);
	close(fd);
	require(unlink(path) == 0);
	return 0;
}

CHILD_TEST(exec_itself_fails_in_its_own_step)
{
	/* An ELF file in name only, and a script whose interpreter is a text. */
	const char *path = make_script("elf", "\177ELF and nothing more", 0755);

	fails(NULL, ARGUMENTS(path), "execute", -ENOEXEC);
	require(unlink(path) == 0);
	make_script("text", "nothing", 0755);
	path = make_script("script", variable("#!%s\n", path_of("text")), 0755);
	fails(NULL, ARGUMENTS(path), "execute", -ENOEXEC);
	remove_all(ARGUMENTS("text", "script"));
	return 0;
}

CHILD_TEST(too_many_arguments_are_refused)
{
	static char longest[131073], page[100001];
	const char *many[102] = {"true"};
	const struct ayre_limit least = {RLIMIT_STACK, 1u << 20, UINT64_MAX};
	const struct ayre_limit most = {RLIMIT_STACK, 64u << 20, UINT64_MAX};
	struct rlimit stack;

	memset(longest, 'x', sizeof(longest) - 1);
	fails(NULL, ARGUMENTS("true", longest), "arguments", -E2BIG);
	fails(PROCESS_OPTIONS(.environment = ARGUMENTS(longest)), ARGUMENTS("/bin/true"),
	      "arguments", -E2BIG);
	memset(page, 'x', sizeof(page) - 1);
	for (int i = 1; i <= 100; i++)
		many[i] = page;
	fails(NULL, many, "arguments", -E2BIG);
	require(strstr(failure_text, "kernel takes"));
	/* The limit that counts is the program's own. */
	many[11] = NULL;
	require(getrlimit(RLIMIT_STACK, &stack) == 0);
	require(run(NULL, many).status == 0);
	fails(PROCESS_OPTIONS(.limits = &least, .limit_count = 1), many, "arguments", -E2BIG);
	if (stack.rlim_max != RLIM_INFINITY)
		return 0;
	stack.rlim_cur = 1u << 20;
	require(setrlimit(RLIMIT_STACK, &stack) == 0);
	fails(NULL, many, "arguments", -E2BIG);
	require(run(PROCESS_OPTIONS(.limits = &most, .limit_count = 1), many).status == 0);
	return 0;
}

CHILD_TEST(a_missing_directory_is_its_own_step)
{
	fails(PROCESS_OPTIONS(.directory = "/none"), ARGUMENTS("true"), "directory", -ENOENT);
	require(strstr(failure_text, "/none"));
	fails(PROCESS_OPTIONS(.directory = "/bin/true"), ARGUMENTS("true"), "directory", -ENOTDIR);
	return 0;
}

CHILD_TEST(limits_are_the_childs)
{
	const struct ayre_limit limits[] = {
		{RLIMIT_NOFILE, 20, 30},
		{RLIMIT_CORE, 0, UINT64_MAX},
		{RLIMIT_CPU, 7, 9},
	};
	const struct ayre_limit unknown = {99, 1, 1};
	const struct ayre_limit crossed = {RLIMIT_CPU, 2, 1};
	struct rlimit now;

	probe(PROCESS_OPTIONS(.limits = limits, .limit_count = 3), report);
	require(says(report, "limit %d 20 30", RLIMIT_NOFILE));
	require(says(report, "limit %d 7 9", RLIMIT_CPU));
	require(getrlimit(RLIMIT_CPU, &now) == 0 && now.rlim_cur == RLIM_INFINITY);
	fails(PROCESS_OPTIONS(.limits = &unknown, .limit_count = 1), ARGUMENTS("true"), "limit",
	      -EINVAL);
	fails(PROCESS_OPTIONS(.limits = &crossed, .limit_count = 1), ARGUMENTS("true"), "options",
	      -EINVAL);
	return 0;
}

static int raise_a_limit_as_nobody(void *context)
{
	const struct rlimit low = {100, 100};
	const struct ayre_limit high = {RLIMIT_NOFILE, 200, 200};

	(void)context;
	require(setrlimit(RLIMIT_NOFILE, &low) == 0);
	become_nobody();
	fails(PROCESS_OPTIONS(.limits = &high, .limit_count = 1), ARGUMENTS("true"), "limit",
	      -EPERM);
	return 0;
}

static int start_one_too_many(void *context)
{
	const struct rlimit none = {0, 0};

	(void)context;
	become_nobody();
	require(setrlimit(RLIMIT_NPROC, &none) == 0);
	fails(NULL, ARGUMENTS("true"), "clone", -EAGAIN);
	require(strstr(failure_text, "no processes left"));
	return 0;
}

static int start_without_descriptors(void *context)
{
	struct rlimit few = {8, 8};
	int fds[8], count = 0;

	(void)context;
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	require(setrlimit(RLIMIT_NOFILE, &few) == 0);
	while ((fds[count] = dup(1)) >= 0)
		count++;
	fails(NULL, ARGUMENTS("true"), "clone", -EMFILE);
	close(fds[--count]);
	require(run(NULL, ARGUMENTS("true")).status == 0);
	/*
	 * What stands for the closed 0 takes the last number, and the pidfd gets 0, from where it
	 * cannot be moved: its child is ended by it all the same.
	 */
	close(0);
	fails(NULL, ARGUMENTS("/bin/true"), "clone", -EMFILE);
	require(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	require(fcntl(0, F_GETFD) == -1);
	return 0;
}

static void steps_that_only_others_can_fail_in(void **state)
{
	(void)state;
	assert_exited(run_in_child(start_without_descriptors, NULL));
	if (!is_root())
		skip_because("only root can become another user");
	assert_exited(run_in_child(raise_a_limit_as_nobody, NULL));
	assert_exited(run_in_child(start_one_too_many, NULL));
}

CHILD_TEST(options_that_can_never_be_right_are_refused)
{
	const struct ayre_wire twice[] = {{5, 0}, {5, 1}}, negative = {-1, 0}, lower = {0, -2};
	struct ayre_process_options unset = {0};

	fails(&unset, ARGUMENTS("true"), "options", -EINVAL);
	fails(NULL, NULL, "options", -EINVAL);
	fails(NULL, (const char *const[]){NULL}, "options", -EINVAL);
	fails(PROCESS_OPTIONS(.flags = 1u << 31), ARGUMENTS("true"), "options", -EINVAL);
	fails(PROCESS_OPTIONS(.wires = twice, .wire_count = 2), ARGUMENTS("true"), "options",
	      -EINVAL);
	fails(PROCESS_OPTIONS(.wires = &negative, .wire_count = 1), ARGUMENTS("true"), "options",
	      -EINVAL);
	fails(PROCESS_OPTIONS(.wires = &lower, .wire_count = 1), ARGUMENTS("true"), "options",
	      -EINVAL);
	fails(PROCESS_OPTIONS(.wire_count = 1), ARGUMENTS("true"), "options", -EINVAL);
	fails(PROCESS_OPTIONS(.limit_count = 1), ARGUMENTS("true"), "options", -EINVAL);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		counted_test(arguments_arrive_byte_for_byte),
		counted_test(the_first_argument_is_only_a_name),
		counted_test(the_environment_is_the_given_or_the_present_one),
		counted_test(the_directory_is_the_childs_alone),
		counted_test(a_relative_program_begins_at_the_directory),
		counted_test(path_is_the_childs_own),
		counted_test(an_empty_element_of_path_is_the_working_directory),
		counted_test(without_path_the_system_is_searched),
		counted_test(what_may_not_be_executed_is_passed_over_and_remembered),
		counted_test(a_name_that_nothing_can_have_is_not_found),
		counted_test(what_is_no_program_is_refused_before_a_start),
		counted_test(rights_of_another_user),
		counted_test(a_file_that_is_just_written_is_waited_for),
		counted_test(exec_itself_fails_in_its_own_step),
		counted_test(too_many_arguments_are_refused),
		counted_test(a_missing_directory_is_its_own_step),
		counted_test(limits_are_the_childs),
		counted_test(steps_that_only_others_can_fail_in),
		counted_test(options_that_can_never_be_right_are_refused),
	};

	become_probe(argc, argv);
	return run_counted("process_start", tests);
}
