/*
 * Life inside: what a confined process still can do, what it gets when it tries more, and its
 * limits.
 */
#include "worker/worker_world.h"

#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

/* SYS_SECCOMP of asm-generic/siginfo.h, which the C library's headers lack. */
#define CODE_SECCOMP 1

/* In memory that the test shares: what a child has done. */
struct shared {
	int number;
	int code;
};

static int use_memory(void *context)
{
	char *blocks[64], *grown;

	(void)context;
	confine_now(CONFINE(KEEP_ERROR), NULL);
	for (size_t i = 0; i < 64; i++) {
		blocks[i] = malloc(100u << i / 4);
		require(blocks[i]);
		memset(blocks[i], (int)i, 100u << i / 4);
	}
	for (size_t i = 0; i < 64; i++) {
		require(blocks[i][99] == (char)i);
		free(blocks[i]);
	}
	grown = realloc(malloc(10), 20 << 20);
	require(grown);
	grown = realloc(grown, 40 << 20);
	require(grown);
	memmove(grown + 1, grown, 1 << 20);
	free(grown);
	return 0;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int use_library(void *context)
{
	static int numbers[100000];
	struct timespec now, little = {.tv_nsec = 1000};
	struct tm parts;
	unsigned int random;
	time_t seconds;

	(void)context;
	confine_now(CONFINE(KEEP_ERROR), NULL);
	require(getrandom(&random, sizeof(random), 0) == sizeof(random));
	require(clock_gettime(CLOCK_MONOTONIC, &now) == 0 && now.tv_sec + now.tv_nsec > 0);
	require(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
	require(syscall(SYS_clock_gettime, CLOCK_REALTIME, &now) == 0);
	require(nanosleep(&little, NULL) == 0);
	seconds = time(NULL);
	require(seconds > 0 && localtime_r(&seconds, &parts));
	require(setlocale(LC_ALL, "C"));
	require(getpid() > 0 && strtod("1.5", NULL) == 1.5);
	require(sysconf(_SC_NPROCESSORS_ONLN) != 0);
	for (size_t i = 0; i < 100000; i++)
		numbers[i] = (int)(i * 7919 % 100003);
	qsort(numbers, 100000, sizeof(*numbers), compare);
	require(numbers[0] <= numbers[1] && numbers[99998] <= numbers[99999]);
	return 0;
}

static int use_stdio(void *context)
{
	int *fds = context, keep[] = {fds[0], fds[1], STDERR_FILENO};
	FILE *in = fdopen(fds[0], "r"), *out, *file;
	char line[64];

	confine_now(CONFINE(.keep = keep, .keep_count = 3), NULL);
	/* One that was opened before, and one that is opened inside. */
	out = fdopen(fds[1], "w");
	require(in && out);
	require(fprintf(out, "%s %d %.2f\n", "text", 17, 0.5) > 0 && fflush(out) == 0);
	require(fgets(line, sizeof(line), in) && strcmp(line, "text 17 0.50\n") == 0);
	require(!isatty(fds[1]) && errno == ENOTTY);
	file = fopen("/etc/passwd", "r");
	require(!file && errno == EACCES);
	require(fclose(out) == 0);
	return 0;
}

static void *do_nothing(void *context)
{
	return context;
}

static int want_thread(void *context)
{
	pthread_t thread;
	pid_t child;

	(void)context;
	confine_now(CONFINE(KEEP_ERROR), NULL);
	require(pthread_create(&thread, NULL, do_nothing, NULL) == EAGAIN);
	child = fork();
	require(child == -1 && errno == EAGAIN);
	return 0;
}

static void the_c_library_goes_on_working(void **state)
{
	int fds[2];

	(void)state;
	for_each_user(use_memory, NULL);
	for_each_user(use_library, NULL);
	assert_int_equal(pipe(fds), 0);
	for_each_user(use_stdio, fds);
	close(fds[0]);
	close(fds[1]);
}

static void there_are_no_threads_and_no_children(void **state)
{
	(void)state;
	for_each_user(want_thread, NULL);
}

/* --- what is forbidden --- */

static int do_forbidden(void *context)
{
	confine_now(CONFINE(KEEP_ERROR), NULL);
	*(int *)context = 1;
	syscall(SYS_getppid);
	*(int *)context = 2;
	return 0;
}

static void a_forbidden_call_ends_the_process(void **state)
{
	int *reached = share_memory(sizeof(*reached)), status;

	(void)state;
	status = run_in_child(do_forbidden, reached);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	assert_int_equal(*reached, 1);
	munmap(reached, sizeof(*reached));
}

static struct shared *shared;

static void note_call(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	shared->number = info->si_syscall;
	shared->code = info->si_code;
}

static int do_reported(void *context)
{
	const struct sigaction action = {.sa_sigaction = note_call, .sa_flags = SA_SIGINFO};
	int fds[2] = {-1, -1};

	(void)context;
	require(sigaction(SIGSYS, &action, NULL) == 0);
	confine_now(CONFINE(KEEP_ERROR, .flags = AYRE_CONFINE_REPORT), NULL);
	(void)syscall(SYS_pipe2, fds, 0);
	/* It was told, and not done. */
	require(fds[0] == -1 && fds[1] == -1);
	return 0;
}

static void a_forbidden_call_is_reported_if_asked_for(void **state)
{
	(void)state;
	shared = share_memory(sizeof(*shared));
	for_each_user(do_reported, NULL);
	assert_int_equal(shared->number, SYS_pipe2);
	assert_int_equal(shared->code, CODE_SECCOMP);
	munmap(shared, sizeof(*shared));
}

static __attribute__((noinline, aligned(64), no_sanitize("address", "undefined"))) void
return_at_once(void)
{
}

/* A personality that makes all that can be read executable, from before. */
static int run_data(void *context)
{
	unsigned char *page;

	require(personality(READ_IMPLIES_EXEC) >= 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(page != MAP_FAILED);
	if (*(bool *)context) {
		confine_now(CONFINE(KEEP_ERROR), NULL);
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		require(page != MAP_FAILED);
	}
	/* A function that there is, for whatever machine. */
	memcpy(page, (const void *)(uintptr_t)return_at_once, 64);
	__builtin___clear_cache((char *)page, (char *)page + 64);
	((void (*)(void))(uintptr_t)page)();
	return 0;
}

static void what_can_be_read_cannot_be_run(void **state)
{
	bool confined = false;
	int status;

	(void)state;
	status = run_in_child(run_data, &confined);
	if (status != 0)
		skip_because("this machine does not do it without either");
	confined = true;
	status = run_in_child(run_data, &confined);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* --- limits --- */

/* Not by malloc, of which sanitizers have their own. */
static void *take(size_t bytes)
{
	return mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int take_memory(void *context)
{
	(void)context;
	confine_now(CONFINE(KEEP_ERROR, .memory_bytes = 16 << 20), NULL);
	require(take(4 << 20) != MAP_FAILED);
	require(take(16 << 20) == MAP_FAILED && errno == ENOMEM);
	return 0;
}

static int take_any_memory(void *context)
{
	(void)context;
	confine_now(CONFINE(KEEP_ERROR, .memory_bytes = UINT64_MAX), NULL);
	require(take(4ul << 30) != MAP_FAILED);
	return 0;
}

static void memory_is_what_was_given(void **state)
{
	(void)state;
	for_each_user(take_memory, NULL);
	for_each_user(take_any_memory, NULL);
}

static int write_file(void *context)
{
	int fd = memfd_create("file", MFD_CLOEXEC), keep[] = {fd, STDERR_FILENO};
	static char bytes[8192];
	uint64_t limit = *(uint64_t *)context;

	require(fd >= 0);
	signal(SIGXFSZ, SIG_IGN);
	confine_now(CONFINE(.keep = keep, .keep_count = 2, .file_bytes = limit), NULL);
	if (limit)
		require(write(fd, bytes, sizeof(bytes)) == 4096);
	require(write(fd, bytes, 1) == -1 && errno == EFBIG);
	return 0;
}

static void files_grow_to_what_was_given(void **state)
{
	uint64_t none = 0, some = 4096;

	(void)state;
	for_each_user(write_file, &none);
	for_each_user(write_file, &some);
}

static int burn(void *context)
{
	(void)context;
	confine_now(CONFINE(KEEP_ERROR, .cpu_seconds = 1), NULL);
	for (;;)
		;
	return 0;
}

static void processor_time_is_what_was_given(void **state)
{
	int status;

	(void)state;
	status = run_in_child(burn, NULL);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(the_c_library_goes_on_working),
		counted_test(there_are_no_threads_and_no_children),
		counted_test(a_forbidden_call_ends_the_process),
		counted_test(a_forbidden_call_is_reported_if_asked_for),
		counted_test(what_can_be_read_cannot_be_run),
		counted_test(memory_is_what_was_given),
		counted_test(files_grow_to_what_was_given),
		counted_test(processor_time_is_what_was_given),
	};

	return run_counted("confine_life", tests);
}
