/*
 * Starting a pipeline: all stages or none, and what each of them is given.
 */
#include "process/pipeline_world.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void ls_into_wc(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	char path[NAME_BYTES];

	(void)state;
	write_file(path_of(path, "one"), "");
	write_file(path_of(path, "two"), "");
	write_file(path_of(path, "three"), "");
	assert_int_equal(ayre_pipeline_command(pipeline, "ls", test_directory(), NULL), 0);
	assert_int_equal(ayre_pipeline_command(pipeline, "wc", "-l", NULL), 1);
	assert_int_equal(ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL), 0);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 1, 1, "3\n");
	ayre_pipeline_free(pipeline);
	for (int i = 0; i < 3; i++)
		unlink(path_of(path, ((const char *[]){"one", "two", "three"})[i]));
}

static int shout(void *context)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin))
		printf("%s%s", (const char *)context, line);
	fprintf(stderr, "to the error output\n");
	return 7;
}

static void functions_are_stages(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	struct ayre_pipeline_result result;
	char first[] = "> ", second[] = "! ";

	(void)state;
	add_shell(pipeline, "echo a; echo b");
	assert_int_equal(ayre_pipeline_function(pipeline, "shout", shout, first), 1);
	ayre_pipeline_command(pipeline, "cat", NULL);
	assert_int_equal(ayre_pipeline_function(pipeline, "again", shout, second), 3);
	add_redirection(pipeline, .stage = 1, .fd = 2, .kind = AYRE_REDIRECT_CAPTURE);
	add_redirection(pipeline, .stage = 3, .fd = 2, .kind = AYRE_REDIRECT_NOTHING);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, &result), 7);
	assert_int_equal(result.failed_stage, 3);
	assert_captured(pipeline, 3, 1, "! > a\n! > b\n");
	assert_captured(pipeline, 1, 2, "to the error output\n");
	assert_null(info_of(pipeline, 1).arguments);
	assert_string_equal(info_of(pipeline, 1).name, "shout");
	assert_int_equal(info_of(pipeline, 1).end.status, 7);
	assert_int_equal(info_of(pipeline, 1).read_bytes, 4);
	ayre_pipeline_free(pipeline);
}

static int echo_input(void *context)
{
	int letter = getc(stdin);

	(void)context;
	if (letter != EOF)
		putchar(letter);
	return 0;
}

/* In a child whose output nobody else has: what the host has read and not printed is its own. */
static int with_buffers(void *context)
{
	struct ayre_pipeline *pipeline = ayre_pipeline_new();
	int input[2], output[2];
	char line[64];

	(void)context;
	require(pipe(input) == 0 && pipe(output) == 0);
	require(write(input[1], "host", 4) == 4);
	require(dup2(input[0], 0) == 0 && dup2(output[1], 1) == 1);
	setvbuf(stdout, NULL, _IOFBF, 4096);
	require(getc(stdin) == 'h');
	fputs("printed later", stdout);
	require(ayre_pipeline_function(pipeline, "echo", echo_input, NULL) == 0);
	require(ayre_pipeline_feed(pipeline, "x", 1) == 0);
	require(ayre_pipeline_run(pipeline, NULL, NULL) == 0);
	ayre_pipeline_free(pipeline);
	require(read(output[0], line, sizeof(line)) == 1 && line[0] == 'x');
	require(getc(stdin) == 'o');
	require(fflush(stdout) == 0);
	require(read(output[0], line, sizeof(line)) == 13);
	return 0;
}

static void a_function_does_not_touch_the_hosts_buffers(void **state)
{
	(void)state;
	assert_exited(run_in_child(with_buffers, NULL));
}

static int count_descriptors(void *context)
{
	(void)context;
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			return 1;
	return fcntl(0, F_GETFD) == -1 || fcntl(1, F_GETFD) == -1;
}

static void stages_have_no_other_descriptors(void **state)
{
	/* Not close-on-exec, as careless hosts have them. */
	int careless = open("/dev/null", O_RDONLY), high = dup2(careless, 700);
	struct ayre_pipeline *pipeline = new_pipeline();
	char list[64];
	const char *bytes;
	uint64_t total;

	(void)state;
	ayre_pipeline_function(pipeline, "first", count_descriptors, NULL);
	ayre_pipeline_function(pipeline, "second", count_descriptors, NULL);
	/* What ls has open itself is 3. */
	add_shell(pipeline, "exec ls /proc/self/fd");
	ayre_pipeline_capture(pipeline, sizeof(list), AYRE_AT_BOUND_KEEP_FIRST);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(ayre_pipeline_captured(pipeline, 2, 1, &bytes, &total), 8);
	assert_memory_equal(bytes, "0\n1\n2\n3\n", 8);
	ayre_pipeline_free(pipeline);
	close(careless);
	close(high);
}

static void a_missing_program_starts_nothing(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	char made[NAME_BYTES], existing[NAME_BYTES];
	struct ayre_error error;

	(void)state;
	path_of(made, "made");
	write_file(path_of(existing, "existing"), "content");
	ayre_pipeline_command(pipeline, "touch", made, NULL);
	ayre_pipeline_command(pipeline, "nosuch-program", NULL);
	add_redirection(pipeline, .stage = 0, .fd = 1, .kind = AYRE_REDIRECT_WRITE,
	                .path = existing);
	assert_int_equal(ayre_pipeline_start(pipeline, &error), -ENOENT);
	assert_int_equal(ayre_pipeline_failed_stage(pipeline), 1);
	assert_string_equal(error.step, "find");
	assert_string_equal(error.object, "nosuch-program");
	assert_int_equal(ayre_pipeline_process(pipeline), 1);
	ayre_pipeline_free(pipeline);
	assert_false(exists(made));
	assert_file(existing, "content");
	unlink(existing);
}

/* A step that only the child itself can try: everything else has been done by then. */
static void a_stage_that_cannot_be_prepared_starts_nothing(void **state)
{
	struct ayre_limit limit = {RLIMIT_NLIMITS + 5, 1, 1};
	char existing[NAME_BYTES], fresh[NAME_BYTES], touched[NAME_BYTES];

	(void)state;
	write_file(path_of(existing, "existing"), "content");
	path_of(fresh, "fresh");
	path_of(touched, "touched");
	for (int as_function = 0; as_function < 2; as_function++) {
		struct ayre_pipeline *pipeline = new_pipeline();
		struct ayre_error error;

		ayre_pipeline_command(pipeline, "touch", touched, NULL);
		if (as_function)
			ayre_pipeline_function(pipeline, "limited", count_descriptors, NULL);
		else
			ayre_pipeline_command(pipeline, "true", NULL);
		ayre_pipeline_function(pipeline, "other", count_descriptors, NULL);
		add_redirection(pipeline, .stage = 0, .fd = 1, .kind = AYRE_REDIRECT_WRITE,
		                .path = existing);
		add_redirection(pipeline, .stage = 1, .fd = 1, .kind = AYRE_REDIRECT_WRITE,
		                .path = fresh);
		assert_int_equal(
			ayre_pipeline_stage_options(
				pipeline, 1, STAGE_OPTIONS(.limits = &limit, .limit_count = 1)),
			0);
		assert_int_equal(fail_to_start(pipeline, &error), -EINVAL);
		assert_string_equal(error.step, "limit");
		assert_string_equal(error.object, as_function ? "limited" : "true");
		assert_file(existing, "content");
		assert_false(exists(fresh));
		assert_false(exists(touched));
	}
	unlink(existing);
}

static void files_are_opened_before_anything_runs(void **state)
{
	char missing[NAME_BYTES], fresh[NAME_BYTES], touched[NAME_BYTES];
	const struct {
		enum ayre_redirect kind;
		const char *path;
		int code;
	} bad[] = {
		{AYRE_REDIRECT_READ, path_of(missing, "missing"), -ENOENT},
		{AYRE_REDIRECT_READ, test_directory(), -EISDIR},
		{AYRE_REDIRECT_WRITE, test_directory(), -EISDIR},
		{AYRE_REDIRECT_APPEND, "/proc/nosuch/file", -ENOENT},
		{AYRE_REDIRECT_TEE_WRITE, test_directory(), -EISDIR},
	};

	(void)state;
	path_of(fresh, "fresh");
	path_of(touched, "touched");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct ayre_pipeline *pipeline = new_pipeline();
		struct ayre_error error;
		int fd = bad[i].kind != AYRE_REDIRECT_READ;

		ayre_pipeline_command(pipeline, "touch", touched, NULL);
		ayre_pipeline_command(pipeline, "cat", NULL);
		add_redirection(pipeline, .stage = 0, .fd = 1, .kind = AYRE_REDIRECT_WRITE,
		                .path = fresh);
		add_redirection(pipeline, .stage = 1, .fd = fd, .kind = bad[i].kind,
		                .path = bad[i].path);
		assert_int_equal(fail_to_start(pipeline, &error), bad[i].code);
		assert_string_equal(error.step, "open");
		assert_string_equal(error.object, bad[i].path);
		assert_false(exists(fresh));
		assert_false(exists(touched));
	}
}

static void files_are_written_and_appended(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	char in[NAME_BYTES], out[NAME_BYTES], log[NAME_BYTES];

	(void)state;
	write_file(path_of(in, "in"), "in\n");
	write_file(path_of(out, "out"), "longer than what comes\n");
	write_file(path_of(log, "log"), "before\n");
	add_shell(pipeline, "cat; echo error >&2");
	add_redirection(pipeline, .fd = 0, .kind = AYRE_REDIRECT_READ, .path = in);
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_WRITE, .path = out);
	add_redirection(pipeline, .fd = 2, .kind = AYRE_REDIRECT_APPEND, .path = log);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(info_of(pipeline, 0).read_bytes, 3);
	assert_int_equal(info_of(pipeline, 0).written_bytes, 3);
	ayre_pipeline_free(pipeline);
	assert_file(out, "in\n");
	assert_file(log, "before\nerror\n");
	unlink(in);
	unlink(out);
	unlink(log);
}

static void a_link_that_leads_nowhere_is_written_through(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	char link[NAME_BYTES], target[NAME_BYTES];

	(void)state;
	assert_int_equal(symlink(path_of(target, "target"), path_of(link, "link")), 0);
	add_shell(pipeline, "echo text");
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_WRITE, .path = link);
	assert_int_equal(run_and_free(pipeline, NULL), 0);
	assert_file(target, "text\n");
	unlink(target);
	unlink(link);
}

static void descriptors_cross(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	/* 3>&1 1>&2 2>&3, with both captured; and a third that joins them. */
	add_shell(pipeline, "echo out; echo error >&2; echo third >&5");
	add_redirection(pipeline, .fd = 5, .kind = AYRE_REDIRECT_SAME, .host_fd = 2);
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_CAPTURE);
	add_redirection(pipeline, .fd = 2, .kind = AYRE_REDIRECT_CAPTURE);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 0, 1, "out\n");
	assert_captured(pipeline, 0, 2, "error\nthird\n");
	ayre_pipeline_free(pipeline);

	pipeline = new_pipeline();
	add_shell(pipeline, "echo out; echo error >&2");
	add_redirection(pipeline, .fd = 2, .kind = AYRE_REDIRECT_SAME, .host_fd = 1);
	ayre_pipeline_command(pipeline, "sort", NULL);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 1, 1, "error\nout\n");
	ayre_pipeline_free(pipeline);
}

static void the_hosts_descriptors_cross(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	int one[2], two[2];
	char bytes[16];

	(void)state;
	assert_int_equal(pipe2(one, O_CLOEXEC) | pipe2(two, O_CLOEXEC), 0);
	add_shell(pipeline, "echo 1; echo 2 >&2");
	/* Each is to be where the other is. */
	add_redirection(pipeline, .fd = one[1], .kind = AYRE_REDIRECT_FD, .host_fd = two[1]);
	add_redirection(pipeline, .fd = two[1], .kind = AYRE_REDIRECT_FD, .host_fd = one[1]);
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_FD, .host_fd = one[1]);
	add_redirection(pipeline, .fd = 2, .kind = AYRE_REDIRECT_FD, .host_fd = two[1]);
	assert_int_equal(run_and_free(pipeline, NULL), 0);
	assert_int_equal(read(one[0], bytes, sizeof(bytes)), 2);
	assert_memory_equal(bytes, "1\n", 2);
	assert_int_equal(read(two[0], bytes, sizeof(bytes)), 2);
	assert_memory_equal(bytes, "2\n", 2);
	for (int i = 0; i < 2; i++) {
		close(one[i]);
		close(two[i]);
	}
}

static void the_last_redirection_counts(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	char path[NAME_BYTES];

	(void)state;
	add_shell(pipeline, "echo text");
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_WRITE, .path = path_of(path, "f"));
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 0, 1, "text\n");
	ayre_pipeline_free(pipeline);
	assert_false(exists(path));
}

/* Whoever was to read from a stage that writes elsewhere does not read the host's input instead. */
static void a_reader_of_nothing_is_at_the_end(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	add_shell(pipeline, "echo text");
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	ayre_pipeline_command(pipeline, "wc", "-c", NULL);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 0, 1, "text\n");
	assert_captured(pipeline, 1, 1, "0\n");
	assert_int_equal(info_of(pipeline, 1).read_bytes, 0);
	ayre_pipeline_free(pipeline);
}

/* mask: which of 0, 1 and 2 the host has. */
static int with_standard(void *context)
{
	int mask = *(int *)context, file = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
	int spare = fcntl(2, F_DUPFD_CLOEXEC, 10);
	struct ayre_pipeline *pipeline = ayre_pipeline_new();
	char path[NAME_BYTES];
	struct ayre_error error = {0};
	const char *bytes;
	int result;

	close(file);
	for (int fd = 0; fd < 3; fd++)
		if (!(mask & 1 << fd))
			close(fd);
	path_of(path, "copy");
	/* A hole of the host's is one that can neither be read nor written. */
	add_shell(pipeline, "test -z \"$(cat 2>&1 >/dev/null)\" && echo 1 || echo 0");
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_redirect(pipeline,
	                       &(struct ayre_redirection){.size = sizeof(struct ayre_redirection),
	                                                  .stage = 0,
	                                                  .fd = 1,
	                                                  .kind = AYRE_REDIRECT_TEE_WRITE,
	                                                  .path = path});
	ayre_pipeline_function(pipeline, "function", echo_input, NULL);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	result = ayre_pipeline_run(pipeline, NULL, &error);
	dup2(spare, 2);
	if (result < 0)
		dprintf(2, "mask %d: %s %s %d\n", mask, error.step, error.detail, result);
	require(result == 0);
	require(ayre_pipeline_captured(pipeline, 2, 1, &bytes, NULL) == 1);
	require(bytes[0] == (mask & 1 ? '1' : '0'));
	require(size_of(path) == 2);
	ayre_pipeline_free(pipeline);
	for (int fd = 0; fd < 2; fd++)
		require((fcntl(fd, F_GETFD) != -1) == !!(mask & 1 << fd));
	unlink(path);
	return 0;
}

static void closed_standard_descriptors(void **state)
{
	int null = open("/dev/null", O_RDONLY), saved = dup(0);

	(void)state;
	dup2(null, 0);
	for (int mask = 0; mask < 8; mask++)
		assert_exited(run_in_child(with_standard, &mask));
	dup2(saved, 0);
	close(null);
	close(saved);
}

/* Not even a copy needs an output of the host's. */
static int tee_without_output(void *context)
{
	struct ayre_pipeline *pipeline = ayre_pipeline_new();

	close(1);
	require(ayre_pipeline_command(pipeline, "echo", "text", NULL) == 0);
	require(ayre_pipeline_redirect(pipeline, &(struct ayre_redirection){
							 .size = sizeof(struct ayre_redirection),
							 .fd = 1,
							 .kind = AYRE_REDIRECT_TEE_WRITE,
							 .path = context}) == 0);
	require(ayre_pipeline_run(pipeline, NULL, NULL) == 0);
	ayre_pipeline_free(pipeline);
	return 0;
}

static void a_copy_without_a_standard_output(void **state)
{
	char path[NAME_BYTES];

	(void)state;
	assert_exited(run_in_child(tee_without_output, (void *)(uintptr_t)path_of(path, "copy")));
	assert_file(path, "text\n");
	unlink(path);
}

static void misuse_is_refused(void **state)
{
	struct ayre_pipeline_options old = {0};
	struct ayre_redirection redirection = {.size = sizeof(redirection)};
	struct ayre_pipeline_result no_size = {0};
	struct ayre_error error;
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	assert_int_equal(fail_to_start(pipeline, &error), -EINVAL);
	pipeline = new_pipeline();
	assert_int_equal(ayre_pipeline_set_options(pipeline, &old), -EINVAL);
	assert_int_equal(ayre_pipeline_command(pipeline, "true", NULL), -EINVAL);
	assert_int_equal(fail_to_start(pipeline, &error), -EINVAL);
	assert_string_equal(error.step, "options");
	for (int i = 0; i < 9; i++) {
		int result = 0;

		pipeline = new_pipeline();
		ayre_pipeline_command(pipeline, "true", NULL);
		switch (i) {
		case 0:
			result = ayre_pipeline_connect(pipeline, 0, 0);
			break;
		case 1:
			result = ayre_pipeline_connect(pipeline, 0, 1);
			break;
		case 2:
			result = ayre_pipeline_redirect(pipeline, &redirection);
			break;
		case 3:
			result = ayre_pipeline_function(pipeline, "f", NULL, NULL);
			break;
		case 4:
			result = ayre_pipeline_arguments(pipeline, &(const char *){NULL});
			break;
		case 5:
			result = ayre_pipeline_set_options(pipeline,
			                                   PIPELINE_OPTIONS(.flags = 1u << 31));
			break;
		case 6:
			redirection.kind = AYRE_REDIRECT_TEE_WRITE;
			redirection.fd = 2;
			redirection.path = "f";
			result = ayre_pipeline_redirect(pipeline, &redirection);
			break;
		case 7:
			result = ayre_pipeline_stage_options(pipeline, 3, NULL);
			break;
		case 8:
			result = ayre_pipeline_set_options(pipeline,
			                                   PIPELINE_OPTIONS(.grace_ns = -1));
			break;
		}
		assert_int_equal(result, -EINVAL);
		assert_int_equal(fail_to_start(pipeline, &error), -EINVAL);
	}
	pipeline = new_pipeline();
	assert_int_equal(ayre_pipeline_feed(pipeline, "", 0), -EINVAL);
	ayre_pipeline_free(pipeline);
	pipeline = new_pipeline();
	ayre_pipeline_command(pipeline, "true", NULL);
	assert_int_equal(ayre_pipeline_run(pipeline, &no_size, &error), -EINVAL);
	assert_int_equal(ayre_pipeline_run(pipeline, NULL, NULL), 0);
	ayre_pipeline_free(pipeline);
	ayre_pipeline_free(NULL);
}

static void before_and_after_the_start(void **state)
{
	struct ayre_pipeline_result result = {.size = sizeof(result)};
	struct ayre_pipeline *pipeline = new_pipeline();
	const char *bytes;

	(void)state;
	ayre_pipeline_command(pipeline, "true", NULL);
	assert_int_equal(ayre_pipeline_fd(pipeline), -EBADF);
	assert_int_equal(ayre_pipeline_process(pipeline), 0);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, INT64_MAX), -EINVAL);
	assert_int_equal(ayre_pipeline_get_result(pipeline, &result), -EINVAL);
	assert_int_equal(ayre_pipeline_captured(pipeline, 0, 1, &bytes, NULL), -EINVAL);
	assert_int_equal(info_of(pipeline, 0).end.outcome, AYRE_OUTCOME_NOT_STARTED);
	ayre_pipeline_cancel(pipeline);
	ayre_pipeline_sample(pipeline);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(ayre_pipeline_start(pipeline, NULL), -EINVAL);
	assert_int_equal(ayre_pipeline_run(pipeline, NULL, NULL), -EINVAL);
	assert_int_equal(ayre_pipeline_command(pipeline, "true", NULL), -EINVAL);
	assert_int_equal(ayre_pipeline_connect(pipeline, 0, 1), -EINVAL);
	ayre_pipeline_cancel(pipeline);
	assert_int_equal(ayre_pipeline_get_result(pipeline, &result), 0);
	assert_int_equal(result.error, 0);
	ayre_pipeline_free(pipeline);
}

static void options_of_stages(void **state)
{
	const char *environment[] = {"PATH=/usr/bin:/bin", "WORD=own", NULL};
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	add_shell(pipeline, "echo $WORD; pwd");
	ayre_pipeline_stage_options(pipeline, 0,
	                            STAGE_OPTIONS(.environment = environment, .directory = "/"));
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 0, 1, "own\n/\n");
	ayre_pipeline_free(pipeline);
}

/* The groups of three stages, as ps(1) would show them. */
static void get_groups(uint32_t flags, uint32_t first_flags, pid_t groups[3], pid_t pids[3])
{
	struct ayre_pipeline *pipeline = new_pipeline_with(PIPELINE_OPTIONS(.flags = flags));

	for (int i = 0; i < 3; i++) {
		ayre_pipeline_command(pipeline, "cat", NULL);
		ayre_pipeline_stage_options(pipeline, i,
		                            STAGE_OPTIONS(.flags = i ? 0 : first_flags));
	}
	add_redirection(pipeline, .kind = AYRE_REDIRECT_FEED);
	start(pipeline);
	for (int i = 0; i < 3; i++) {
		pids[i] = info_of(pipeline, i).pid;
		groups[i] = getpgid(pids[i]);
	}
	assert_int_equal(ayre_pipeline_wait_until(pipeline, INT64_MAX), 0);
	ayre_pipeline_free(pipeline);
}

static void stages_share_a_group(void **state)
{
	pid_t groups[3], pids[3];

	(void)state;
	get_groups(0, 0, groups, pids);
	for (int i = 0; i < 3; i++)
		assert_int_equal(groups[i], pids[0]);
	get_groups(AYRE_PIPELINE_SAME_GROUP, 0, groups, pids);
	for (int i = 0; i < 3; i++)
		assert_int_equal(groups[i], getpgrp());
	/* One that begins a session, or a group, cannot lead that of the others. */
	for (uint32_t own = AYRE_PROCESS_NEW_GROUP; own <= AYRE_PROCESS_NEW_SESSION; own <<= 1) {
		get_groups(0, own, groups, pids);
		assert_int_equal(groups[0], pids[0]);
		assert_int_equal(groups[1], pids[1]);
		assert_int_equal(groups[2], pids[1]);
	}
}

static int many_stages(void *context)
{
	int count = *(int *)context;
	struct rlimit limit = {8192, 8192};
	struct ayre_pipeline *pipeline = ayre_pipeline_new();
	const char *bytes;

	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		return CHILD_SKIPS;
	for (int i = 0; i < count; i++)
		require(ayre_pipeline_command(pipeline, "cat", NULL) == i);
	require(ayre_pipeline_feed(pipeline, "through all", 11) == 0);
	require(ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL) == 0);
	require(ayre_pipeline_run(pipeline, NULL, NULL) == 0);
	require(ayre_pipeline_captured(pipeline, count - 1, 1, &bytes, NULL) == 11);
	require(memcmp(bytes, "through all", 11) == 0);
	ayre_pipeline_free(pipeline);
	return 0;
}

static void a_thousand_stages(void **state)
{
	int count = 1000, status;

	(void)state;
	status = run_in_child(many_stages, &count);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("this user may not have so many descriptors");
	assert_exited(status);
}

static void pipes_are_as_large_as_granted(void **state)
{
	struct ayre_pipeline *pipeline =
		new_pipeline_with(PIPELINE_OPTIONS(.pipe_bytes = 512 * 1024));

	(void)state;
	ayre_pipeline_command(pipeline, "true", NULL);
	ayre_pipeline_command(pipeline, "cat", NULL);
	quiet_input(pipeline);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(ayre_pipeline_pipe_count(pipeline), 1);
	assert_int_equal(pipe_of(pipeline, 0).asked_bytes, 512 * 1024);
	assert_true(pipe_of(pipeline, 0).granted_bytes >= 4096);
	assert_int_equal(pipe_of(pipeline, 0).from, 0);
	assert_int_equal(pipe_of(pipeline, 0).to, 1);
	assert_int_equal(pipe_of(pipeline, 0).passed_bytes, 0);
	ayre_pipeline_free(pipeline);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(ls_into_wc),
		counted_test(functions_are_stages),
		counted_test(a_function_does_not_touch_the_hosts_buffers),
		counted_test(stages_have_no_other_descriptors),
		counted_test(a_missing_program_starts_nothing),
		counted_test(a_stage_that_cannot_be_prepared_starts_nothing),
		counted_test(files_are_opened_before_anything_runs),
		counted_test(files_are_written_and_appended),
		counted_test(a_link_that_leads_nowhere_is_written_through),
		counted_test(descriptors_cross),
		counted_test(the_hosts_descriptors_cross),
		counted_test(the_last_redirection_counts),
		counted_test(a_reader_of_nothing_is_at_the_end),
		counted_test(closed_standard_descriptors),
		counted_test(a_copy_without_a_standard_output),
		counted_test(misuse_is_refused),
		counted_test(before_and_after_the_start),
		counted_test(options_of_stages),
		counted_test(stages_share_a_group),
		counted_test(a_thousand_stages),
		counted_test(pipes_are_as_large_as_granted),
	};

	return run_counted("pipeline_start", tests);
}
