/*
 * Children, the memory that they share, and how they wait for each other.
 *
 * Invariant: no child outlives the test program, however that ends; and no child ever returns
 * into the tests of its parent.
 */
#include "support/support.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "support/own.h"

#define MOST_CHILDREN 512

/* A test that hangs is cleared up after, as far as that can be done from here. */
static void end_late(int number)
{
	static const char line[] = "the deadline has passed\n";

	signal(number, SIG_DFL);
	alarm(5);
	(void)!write(STDERR_FILENO, line, sizeof(line) - 1);
	end_children();
	clear_up();
	raise(number);
}

void limit_time(unsigned int seconds)
{
	/* As ./check stretches what Meson allows: some machines are slow, and sanitizers make all of them so. */
	unsigned int factor = long_form() ? 20 : is_sanitized() ? 8 : 3;

	alarm(factor * seconds);
}

void set_deadline(unsigned int seconds)
{
	signal(SIGALRM, end_late);
	limit_time(seconds);
}

/* Handlers of cmocka's, and the deadline's, are about the parent. */
static void forget_handlers(void)
{
	static const int caught[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGALRM};

	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		signal(caught[i], SIG_DFL);
}

/* Started and not yet waited for; 0: a free place. */
static pid_t started[MOST_CHILDREN];

static void replace_started(pid_t old, pid_t new)
{
	for (size_t i = 0; i < MOST_CHILDREN; i++)
		if (started[i] == old) {
			started[i] = new;
			return;
		}
}

void end_children(void)
{
	for (size_t i = 0; i < MOST_CHILDREN; i++)
		if (started[i]) {
			kill(started[i], SIGKILL);
			end_of(started[i]);
		}
}

pid_t start_child(int (*run)(void *context), void *context)
{
	pid_t parent = getpid();
	pid_t child = fork();

	assert_true(child >= 0);
	if (child > 0) {
		replace_started(0, child);
		return child;
	}
	/* The parent may have died before the kernel was told. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent)
		_exit(1);
	forget_handlers();
	_exit(run(context));
}

int end_of(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) == -1)
		assert_int_equal(errno, EINTR);
	if (!WIFSTOPPED(status))
		replace_started(child, 0);
	return status;
}

int run_in_child(int (*run)(void *context), void *context)
{
	return end_of(start_child(run, context));
}

void require_failed(const char *file, int line, const char *expression)
{
	dprintf(STDERR_FILENO, "%s:%d: in child %d: not so: %s (errno %d)\n", file, line, getpid(),
	        expression, errno);
	_exit(1);
}

void *share_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

void unshare_memory(void *memory, size_t bytes)
{
	munmap(memory, bytes);
}

static void futex(atomic_uint *word, int operation, unsigned int value)
{
	syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

void await(atomic_uint *word, unsigned int value)
{
	unsigned int now;

	while ((now = atomic_load(word)) < value)
		futex(word, FUTEX_WAIT, now);
}

void announce(atomic_uint *word, unsigned int value)
{
	atomic_store(word, value);
	futex(word, FUTEX_WAKE, INT_MAX);
}

void announce_one_more(atomic_uint *word)
{
	atomic_fetch_add(word, 1);
	futex(word, FUTEX_WAKE, INT_MAX);
}

int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return true;
#elif defined(__has_feature)
	return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
	return false;
#endif
}

bool long_form(void)
{
	const char *wish = getenv("AYRE_TEST_LONG");

	return wish && strcmp(wish, "1") == 0;
}

static uint32_t random_state = 2463534242u;

void random_seed(uint32_t seed)
{
	random_state = seed * 2654435761u | 1;
}

uint32_t random_below(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % bound;
}

static uint8_t pattern_byte(size_t i, uint32_t seed)
{
	return (uint8_t)((i + seed) * 2654435761u >> 24 | 1);
}

void fill_pattern(void *data, size_t size, uint32_t seed)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)data)[i] = pattern_byte(i, seed);
}

bool is_pattern(const void *data, size_t size, uint32_t seed)
{
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)data)[i] != pattern_byte(i, seed))
			return false;
	return true;
}

bool is_zero(const void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)data)[i] != 0)
			return false;
	return true;
}

bool is_root(void)
{
	return geteuid() == 0;
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

/* Root needs a namespace for mounts only; others get one inside a namespace for users. */
static bool enter_namespace(void)
{
	char user[32], group[32];

	snprintf(user, sizeof(user), "0 %u 1", geteuid());
	snprintf(group, sizeof(group), "0 %u 1", getegid());
	if (unshare(CLONE_NEWNS) == 0)
		return true;
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       write_text("/proc/self/setgroups", "deny") &&
	       write_text("/proc/self/uid_map", user) && write_text("/proc/self/gid_map", group);
}

int mount_private_tmpfs(const char *directory, const char *size)
{
	char options[64];

	snprintf(options, sizeof(options), "size=%s,mode=0777", size);
	if (!enter_namespace() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("tmpfs", directory, "tmpfs", 0, options) == -1)
		return CHILD_SKIPS;
	return 0;
}
