/*
 * The names of segments: which words are names, of what, and which are refused with which
 * error. docs: ayre/segment.h, head.
 */
#include "support/support.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/ipc.h>

#include "memory/name.h"

static int parse(const char *text, struct ayrei_segment_name *name)
{
	struct ayre_error error = {0};
	int result = ayrei_segment_name_parse(text, name, &error);

	/* Whoever refuses a name says so in full. */
	assert_int_equal(error.code, result);
	if (result < 0) {
		assert_true(error.step[0]);
		assert_string_equal(error.object, text);
	}
	return result;
}

static void posix_names_are_files_in_dev_shm(void **state)
{
	static const char *const same[] = {"greeting", "shm:greeting", "shm:/greeting"};
	struct ayrei_segment_name name;

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
		assert_int_equal(parse(same[i], &name), 0);
		assert_int_equal(name.backing, AYRE_BACKING_SHM);
		assert_string_equal(name.path, "/dev/shm/greeting");
	}
	/* Dots and prefixes of others are just letters. */
	assert_int_equal(parse("...", &name), 0);
	assert_int_equal(parse("shm:memfd:x", &name), 0);
	assert_string_equal(name.path, "/dev/shm/memfd:x");
}

static void words_with_a_slash_are_files(void **state)
{
	struct ayrei_segment_name name;

	(void)state;
	assert_int_equal(parse("file:word", &name), 0);
	assert_int_equal(name.backing, AYRE_BACKING_FILE);
	assert_string_equal(name.path, "word");
	assert_int_equal(parse("/tmp/x", &name), 0);
	assert_int_equal(name.backing, AYRE_BACKING_FILE);
	assert_string_equal(name.path, "/tmp/x");
	assert_int_equal(parse("./x", &name), 0);
	assert_string_equal(name.path, "./x");
}

static void keys_are_hexadecimal(void **state)
{
	struct ayrei_segment_name name;

	(void)state;
	assert_int_equal(parse("sysv:0x52000001", &name), 0);
	assert_int_equal(name.backing, AYRE_BACKING_SYSV);
	assert_int_equal(name.key, 0x52000001);
	assert_int_equal(parse("sysv:0Xab", &name), 0);
	assert_int_equal(name.key, 0xab);
	assert_int_equal(parse("sysv:0xffffffff", &name), 0);
	assert_int_equal(name.key, -1);
}

static void keys_are_made_as_ftok_makes_them(void **state)
{
	char path[NAME_BYTES], text[NAME_BYTES + 8];
	struct ayrei_segment_name name;

	(void)state;
	make_path(path, AYRE_BACKING_FILE, 0);
	close(open(path, O_CREAT | O_CLOEXEC | O_WRONLY, 0600));
	snprintf(text, sizeof(text), "sysv:%s", path);
	assert_int_equal(parse(text, &name), 0);
	assert_int_equal(name.key, ftok(path, 'R'));
	snprintf(text, sizeof(text), "sysv:%s:R", path);
	assert_int_equal(parse(text, &name), 0);
	assert_int_equal(name.key, ftok(path, 'R'));
	snprintf(text, sizeof(text), "sysv:%s:q", path);
	assert_int_equal(parse(text, &name), 0);
	assert_int_equal(name.key, ftok(path, 'q'));
	/* Two letters are no letter: they belong to the path. */
	snprintf(text, sizeof(text), "sysv:%s:qq", path);
	assert_int_equal(parse(text, &name), -ENOENT);
	unlink(path);
	snprintf(text, sizeof(text), "sysv:%s", path);
	assert_int_equal(parse(text, &name), -ENOENT);
}

static void malformed_names_are_refused(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{"", -EINVAL},
		{"shm:", -EINVAL},
		{"shm:/", -EINVAL},
		{"shm:.", -EINVAL},
		{"shm:..", -EINVAL},
		{"shm:/..", -EINVAL},
		{".", -EINVAL},
		{"..", -EINVAL},
		{"shm:a/b", -EINVAL},
		{"shm://a", -EINVAL},
		{"shm:../tmp/x", -EINVAL},
		{"file:", -EINVAL},
		{"file:/tmp/", -EISDIR},
		{"/tmp/", -EISDIR},
		{"/", -EISDIR},
		{"sysv:", -EINVAL},
		{"sysv::R", -EINVAL},
		{"sysv:0x", -EINVAL},
		{"sysv:0x0", -EINVAL},
		{"sysv:0x00000000", -EINVAL},
		{"sysv:0x123456789", -EINVAL},
		{"sysv:0xfg", -EINVAL},
		{"sysv:0x1 ", -EINVAL},
		{"sysv:0x-1", -EINVAL},
		{"sysv:/nonexistent/file", -ENOENT},
		{"sysv:/etc/passwd/x", -ENOTDIR},
	};
	struct ayrei_segment_name name;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (parse(cases[i].text, &name) != cases[i].result)
			fail_msg("\"%s\" is not refused with %d", cases[i].text, cases[i].result);
}

/* prefix, then letters up to length bytes behind it. */
static char *long_name(const char *prefix, size_t length)
{
	char *text = malloc(strlen(prefix) + length + 1);

	assert_non_null(text);
	strcpy(text, prefix);
	memset(text + strlen(prefix), 'x', length);
	text[strlen(prefix) + length] = '\0';
	return text;
}

static void names_have_the_length_that_files_can_have(void **state)
{
	static const struct {
		const char *prefix;
		size_t length;
		int result;
	} cases[] = {
		{"shm:", NAME_MAX, 0},
		{"shm:", NAME_MAX + 1, -ENAMETOOLONG},
		{"shm:/", NAME_MAX, 0},
		{"", NAME_MAX + 1, -ENAMETOOLONG},
		{"file:", PATH_MAX - 1, 0},
		{"file:", PATH_MAX, -ENAMETOOLONG},
		{"file:", 1u << 20, -ENAMETOOLONG},
		{"/", PATH_MAX - 2, 0},
		{"/", PATH_MAX - 1, -ENAMETOOLONG},
		{"sysv:", PATH_MAX, -ENAMETOOLONG},
		{"sysv:", NAME_MAX + 1, -ENAMETOOLONG},
	};
	struct ayrei_segment_name name;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *text = long_name(cases[i].prefix, cases[i].length);
		int result = ayrei_segment_name_parse(text, &name, NULL);

		free(text);
		if (result != cases[i].result)
			fail_msg("%s and %zu letters: %d, not %d", cases[i].prefix, cases[i].length,
			         result, cases[i].result);
	}
}

static void no_name_is_no_segment_to_remove(void **state)
{
	struct ayre_error error = {0};

	(void)state;
	assert_int_equal(ayre_segment_remove("shm:a/b", &error), -EINVAL);
	assert_int_equal(error.code, -EINVAL);
	assert_int_equal(ayre_segment_remove("", NULL), -EINVAL);
}

static int remove_nothing(void *context)
{
	(void)context;
	return -ayre_segment_remove(NULL, NULL);
}

/* In a child, which the mistake must not kill. */
static void null_is_refused(void **state)
{
	int status = run_in_child(remove_nothing, NULL);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(posix_names_are_files_in_dev_shm),
		counted_test(words_with_a_slash_are_files),
		counted_test(keys_are_hexadecimal),
		counted_test(keys_are_made_as_ftok_makes_them),
		counted_test(malformed_names_are_refused),
		counted_test(names_have_the_length_that_files_can_have),
		counted_test(no_name_is_no_segment_to_remove),
		counted_test(null_is_refused),
	};

	return run_counted("name", tests);
}
