/*
 * The probe: the test program, executed as somebody's child.
 *
 * Invariant: its first two arguments tell that it is one, and where to write. The report's own
 * descriptor and the directory's are not in the report.
 */
#include "process/probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MARK   "ayre-probe"
#define NOBODY 65534

_Thread_local char failure_text[640];

/* --- as the child --- */

static void report_descriptors(FILE *report)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	while ((entry = readdir(directory))) {
		int fd = atoi(entry->d_name);
		struct stat status;

		if (entry->d_name[0] == '.' || fd == dirfd(directory) || fd == fileno(report))
			continue;
		if (fstat(fd, &status) == 0)
			fprintf(report, "fd %d %lu\n", fd, (unsigned long)status.st_ino);
		if (fcntl(fd, F_GETFL) & O_PATH)
			fprintf(report, "nothing %d\n", fd);
	}
	closedir(directory);
}

/* "SigBlk:\t0000": as the kernel has it. */
static void report_signals(FILE *report)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long long set;

	while (fgets(line, sizeof(line), status)) {
		if (sscanf(line, "SigBlk: %llx", &set) == 1)
			fprintf(report, "blocked %016llx\n", set);
		if (sscanf(line, "SigIgn: %llx", &set) == 1)
			fprintf(report, "ignored %016llx\n", set);
	}
	fclose(status);
}

static void report_rest(FILE *report, int argc, char **argv)
{
	char path[4096];
	int death = 0;

	for (int i = 3; i < argc; i++)
		fprintf(report, "argument %d %s\n", i - 3, argv[i]);
	for (char **variable = environ; *variable; variable++)
		fprintf(report, "variable %s\n", *variable);
	if (getcwd(path, sizeof(path)))
		fprintf(report, "directory %s\n", path);
	prctl(PR_GET_PDEATHSIG, &death);
	fprintf(report, "parent %d\ngroup %d\nsession %d\npid %d\ndeath %d\n", getppid(), getpgrp(),
	        getsid(0), getpid(), death);
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit limit;

		if (getrlimit((__rlimit_resource_t)i, &limit) == 0)
			fprintf(report, "limit %d %lu %lu\n", i, limit.rlim_cur, limit.rlim_max);
	}
}

void become_probe(int argc, char **argv)
{
	int fd;
	FILE *report;

	if (argc < 3 || strcmp(argv[1], MARK) != 0)
		return;
	/* Not where the wires under test could be. */
	fd = open(argv[2], O_WRONLY | O_CLOEXEC);
	report = fdopen(fd, "w");
	if (!report)
		_exit(3);
	report_descriptors(report);
	report_signals(report);
	report_rest(report, argc, argv);
	fclose(report);
	_exit(0);
}

/* --- as the host --- */

void probe(const struct ayre_process_options *options, char report[static REPORT_BYTES])
{
	int low = memfd_create("report", MFD_CLOEXEC), fd = fcntl(low, F_DUPFD_CLOEXEC, 100);
	struct ayre_process_options copy = *options;
	struct ayre_process_end end;
	char path[64];
	ssize_t length;

	close(low);
	require(fd >= 0);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	copy.program = "/proc/self/exe";
	end = run(&copy, ARGUMENTS("probe", MARK, path));
	require(end.outcome == AYRE_OUTCOME_EXITED);
	require(end.status == 0);
	length = pread(fd, report, REPORT_BYTES - 2, 0);
	require(length > 0 && length < REPORT_BYTES - 2);
	/* For says(). */
	memmove(report + 1, report, (size_t)length);
	report[0] = '\n';
	report[length + 1] = '\0';
	close(fd);
}

bool says(const char *report, const char *format, ...)
{
	char line[4096] = "\n";
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line + 1, sizeof(line) - 2, format, arguments);
	va_end(arguments);
	strcat(line, "\n");
	return strstr(report, line) != NULL;
}

unsigned int count_lines(const char *report, const char *beginning)
{
	char wanted[64];
	unsigned int count = 0;

	snprintf(wanted, sizeof(wanted), "\n%s", beginning);
	for (const char *place = report; (place = strstr(place, wanted)); place++)
		count++;
	return count;
}

unsigned long inode_of(int fd)
{
	struct stat status;

	require(fstat(fd, &status) == 0);
	return (unsigned long)status.st_ino;
}

int make_file_of_its_own(void)
{
	int fd = memfd_create("wire", MFD_CLOEXEC);

	require(fd >= 0);
	return fd;
}

struct ayre_process *begin(const struct ayre_process_options *options, const char *const *arguments)
{
	struct ayre_process *process;
	struct ayre_error error;
	char text[640];
	int result = ayre_process_start(options, arguments, &process, &error);

	if (result < 0)
		dprintf(STDERR_FILENO, "%s: %s\n", error.step,
		        ayre_error_text(&error, text, sizeof(text)));
	require(result == 0);
	return process;
}

struct ayre_process_end run(const struct ayre_process_options *options,
                            const char *const *arguments)
{
	struct ayre_process *process = begin(options, arguments);
	struct ayre_process_end end = {.size = sizeof(end)};

	require(ayre_process_wait(process, &end) == 0);
	ayre_process_close(process);
	return end;
}

void fails(const struct ayre_process_options *options, const char *const *arguments,
           const char *step, int code)
{
	struct ayre_process *process = (struct ayre_process *)&process;
	struct ayre_error error = {0};
	int result = ayre_process_start(options, arguments, &process, &error);

	ayre_error_text(&error, failure_text, sizeof(failure_text));
	if (result != code || error.code != code || strcmp(error.step, step) != 0)
		dprintf(STDERR_FILENO, "%d in step %s (%s), and not %d in %s\n", result, error.step,
		        failure_text, code, step);
	require(result == code);
	require(error.code == code);
	require(strcmp(error.step, step) == 0);
	require(process == (struct ayre_process *)&process);
	require(ayre_process_start(options, arguments, &process, NULL) == code);
}

void become_nobody(void)
{
	require(setresgid(NOBODY, NOBODY, NOBODY) == 0);
	require(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

static int run_body(void *context)
{
	int (**body)(void *context) = context;
	struct counts before = take_counts(), after;
	int result;

	limit_time(50);
	result = (*body)(NULL);
	after = take_counts();
	require(result == CHILD_SKIPS || after.descriptors == before.descriptors);
	require(result == CHILD_SKIPS || memcmp(&before, &after, sizeof(before)) == 0);
	return result;
}

void run_counted_in_child(int (*body)(void *context))
{
	int status = run_in_child(run_body, &body);

	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("this user may not do that");
	assert_exited(status);
}
