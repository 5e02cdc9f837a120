/*
 * A C library under the filter: what it tries on its own gets an answer that it is ready for. Built with
 * whatever libraries there are by libraries.sh, also with such as libayre was not built for.
 *
 * usage: library_probe NAME     of the library; prints TAP
 */
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <iconv.h>
#include <linux/filter.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "worker/filter.h"

#define require(condition) \
	do { \
		if (!(condition)) { \
			dprintf(STDERR_FILENO, "# not: %s\n", #condition); \
			_exit(1); \
		} \
	} while (0)

static void use_malloc(void)
{
	void *blocks[256], *grown;

	for (size_t i = 0; i < 256; i++) {
		blocks[i] = malloc(i * 4999);
		require(blocks[i]);
		memset(blocks[i], 1, i * 4999);
	}
	for (size_t i = 0; i < 256; i++)
		free(blocks[i]);
	grown = realloc(malloc(10), 50 << 20);
	require(grown && aligned_alloc(4096, 65536));
	memmove((char *)grown + 1, grown, 1 << 20);
	free(grown);
}

static void print_numbers(void)
{
	char text[1024];

	require(snprintf(text, sizeof(text), "%.3f %g %La %ls", 1.5, 1e300, 2.5L, L"wide") > 0);
	require(strncmp(text, "1.500 1e+300 ", 13) == 0);
	require(snprintf(text, sizeof(text), "%.900f", 1 / 3.0) == 902);
	require(strtod("1e-320", NULL) > 0 && sscanf("7 0x1p3", "%*d %lf", &(double){0}) == 1);
	require(printf("# %.1f %s\n", pow(2, 0.5), "text") > 0 && fflush(stdout) == 0);
}

static void tell_errors(void)
{
	char text[128];

	require(strlen(strerror(ENOENT)) > 5);
	require(strlen(strsignal(SIGSEGV)) > 5);
	require(strerror_r(EPERM, text, sizeof(text)) == 0 || text[0] || 1);
	errno = EACCES;
	perror("# perror");
	psignal(SIGTERM, "# psignal");
}

static void use_streams(void)
{
	size_t length;
	char *text;
	FILE *memory = open_memstream(&text, &length), *again;

	require(memory && fprintf(memory, "%d", 17) == 2 && fclose(memory) == 0);
	require(strcmp(text, "17") == 0);
	again = fmemopen(text, length, "r");
	require(again && fgetc(again) == '1');
	require(!fopen("/etc/passwd", "r") && errno == EACCES);
	require(!tmpfile());
	require(setvbuf(stdout, NULL, _IOLBF, 1024) == 0);
	/* One that was kept, opened once more: it need not work. */
	memory = fdopen(STDOUT_FILENO, "a");
	require(!memory || fprintf(memory, "# appended\n") > 0);
	require(!isatty(STDOUT_FILENO) && !ttyname(STDOUT_FILENO));
}

static void tell_time(void)
{
	struct timespec now;
	struct tm parts;
	char text[128];
	time_t seconds = time(NULL);

	setenv("TZ", "Europe/Berlin", 1);
	tzset();
	require(localtime_r(&seconds, &parts) && mktime(&parts) == seconds);
	require(strftime(text, sizeof(text), "%c %Z", &parts) > 0);
	require(clock() != (clock_t)-1 && clock_getres(CLOCK_MONOTONIC, &now) == 0);
	require(timespec_get(&now, TIME_UTC) == TIME_UTC && usleep(100) == 0);
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void sort_many(void)
{
	const int count = 2000000;
	int *numbers = malloc((size_t)count * sizeof(*numbers)), key = 4711;

	require(numbers);
	for (int i = 0; i < count; i++)
		numbers[i] = (int)((long long)i * 7919 % 2000003);
	qsort(numbers, (size_t)count, sizeof(*numbers), compare);
	require(numbers[0] == 0 && numbers[1] <= numbers[2]);
	require(bsearch(&key, numbers, (size_t)count, sizeof(*numbers), compare));
}

static void use_words(void)
{
	char text[] = "h\303\244", out[64], *from = text, *to = out;
	size_t left = 3, room = sizeof(out);
	wchar_t wide[16];
	iconv_t open;

	/* What there is depends on files, which are not there. */
	(void)setlocale(LC_ALL, "de_DE.UTF-8");
	(void)setlocale(LC_ALL, "");
	require(setlocale(LC_ALL, "C") && localeconv());
	require(mbstowcs(wide, "abc", 16) == 3);
	open = iconv_open("KOI8-R", "UTF-8");
	if (open != (iconv_t)-1)
		iconv_close(open);
	open = iconv_open("UTF-16LE", "UTF-8");
	if (open == (iconv_t)-1)
		return;
	require(iconv(open, &from, &left, &to, &room) == 0 && room == sizeof(out) - 4);
	iconv_close(open);
}

static void draw_numbers(void)
{
	unsigned char bytes[256];

	require(getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
	require(getentropy(bytes, sizeof(bytes)) == 0);
}

/* As C libraries do that draw from the vDSO (Linux 6.11): its state lies in memory of its own kind. */
static void draw_from_vdso(void)
{
	struct {
		uint32_t bytes, protection, flags, reserved[13];
	} state = {0};
	void *vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD), *memory;
	ssize_t (*draw)(void *, size_t, unsigned int, void *, size_t) = NULL;
	unsigned char bytes[32] = {0};
	sigset_t all, before;

	if (vdso)
		*(void **)&draw = dlsym(vdso, "__vdso_getrandom");
	if (!draw || draw(NULL, 0, 0, &state, ~(size_t)0) != 0)
		return;
	sigfillset(&all);
	require(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
	memory = mmap(NULL, 65536, (int)state.protection, (int)state.flags, -1, 0);
	require(memory != MAP_FAILED);
	require(draw(bytes, sizeof(bytes), 0, memory, state.bytes) == sizeof(bytes));
	require(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	require(munmap(memory, 65536) == 0);
}

static void *do_nothing(void *context)
{
	return context;
}

static void want_others(void)
{
	pthread_t thread;

	require(pthread_create(&thread, NULL, do_nothing, NULL) == EAGAIN);
	require(fork() == -1 && errno == EAGAIN);
}

static void lock(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
	struct timespec soon;

	clock_gettime(CLOCK_REALTIME, &soon);
	require(pthread_mutex_lock(&mutex) == 0);
	require(pthread_cond_timedwait(&condition, &mutex, &soon) == ETIMEDOUT);
	require(pthread_mutex_unlock(&mutex) == 0);
}

static void ask_system(void)
{
	struct rlimit limit;
	char text[256];

	(void)sysconf(_SC_OPEN_MAX);
	(void)sysconf(_SC_PHYS_PAGES);
	require(sysconf(_SC_NPROCESSORS_ONLN) != 0 && sysconf(_SC_PAGESIZE) > 0);
	require(getrlimit(RLIMIT_NOFILE, &limit) == -1);
	require(!getcwd(text, sizeof(text)) && !realpath("../x", text));
	require(!realpath("/etc/passwd", text));
	(void)pthread_getattr_np(pthread_self(), &(pthread_attr_t){0});
}

static void end_at_once(void)
{
	exit(0);
}

/* --- ends: by a signal, after the last word, and never by going on --- */

extern void __stack_chk_fail(void);

static void end_by_abort(void)
{
	abort();
}

static void end_by_assert(void)
{
	assert(!"# asserted");
}

static void end_by_smashed_stack(void)
{
	__stack_chk_fail();
}

static void end_by_spoilt_memory(void)
{
	char *block = malloc(100);

	free(block);
	__asm__ volatile("" : "+r"(block));
	free(block);
}

static const struct {
	const char *name;
	void (*run)(void);
	bool by_signal; /* it ends */
} rows[] = {
	{"malloc and its kin", use_malloc, false},
	{"numbers as text", print_numbers, false},
	{"errors as text", tell_errors, false},
	{"streams", use_streams, false},
	{"time", tell_time, false},
	{"a large qsort", sort_many, false},
	{"locales and character sets", use_words, false},
	{"random numbers", draw_numbers, false},
	{"random numbers of the vDSO", draw_from_vdso, false},
	{"no thread and no child", want_others, false},
	{"locks", lock, false},
	{"what sort of system it is", ask_system, false},
	{"exit", end_at_once, false},
	{"abort", end_by_abort, true},
	{"assert", end_by_assert, true},
	{"a stack that was smashed", end_by_smashed_stack, true},
	{"memory that is freed twice", end_by_spoilt_memory, true},
};

#define ROWS (sizeof(rows) / sizeof(*rows))

static void run(size_t number)
{
	struct sock_fprog program = {
		.len = (unsigned short)ayrei_filter_kill_length,
		.filter = (struct sock_filter *)(uintptr_t)ayrei_filter_kill,
	};

	require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	require(prctl(PR_SET_SECCOMP, 2, &program) == 0);
	rows[number].run();
	_exit(0);
}

static void judge(const char *library, size_t number, int status)
{
	bool good = rows[number].by_signal ? WIFSIGNALED(status) : status == 0;

	printf("%sok - %s: %s", good ? "" : "not ", library, rows[number].name);
	if (!good && WIFSIGNALED(status))
		printf(" (signal %d)", WTERMSIG(status));
	putchar('\n');
}

int main(int argument_count, char **arguments)
{
	for (size_t i = 0; i < ROWS; i++) {
		pid_t child;
		int status;

		fflush(stdout);
		child = fork();
		if (child == 0)
			run(i);
		if (child == -1 || waitpid(child, &status, 0) != child)
			return EXIT_FAILURE;
		judge(argument_count > 1 ? arguments[1] : "", i, status);
	}
	return EXIT_SUCCESS;
}
