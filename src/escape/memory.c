/*
 * Attempts on memory: that of the host and of siblings, what is shared with the host under seals,
 * and on running code that came as data.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <unistd.h>

#include "escape/attempt.h"
#include "sys/kernel.h"

#define PAGE_BYTES 4096

static long read_of(pid_t pid, const struct escape_bait *bait)
{
	int word;
	const struct iovec mine = {&word, sizeof(word)}, other = {bait->word, sizeof(word)};

	return KERNEL(process_vm_readv, pid, &mine, 1, &other, 1, 0);
}

static long read_sibling(const struct escape_bait *bait)
{
	return read_of(bait->sibling, bait);
}

static long read_host(const struct escape_bait *bait)
{
	return read_of(bait->host, bait);
}

static long write_sibling(const struct escape_bait *bait)
{
	int word = 0;
	const struct iovec mine = {&word, sizeof(word)}, other = {bait->word, sizeof(word)};

	return KERNEL(process_vm_writev, bait->sibling, &mine, 1, &other, 1, 0);
}

static long open_sibling(const struct escape_bait *bait)
{
	return KERNEL(openat, AT_FDCWD, escape_proc(bait->sibling, "mem"), O_RDWR);
}

static long open_host(const struct escape_bait *bait)
{
	return KERNEL(openat, AT_FDCWD, escape_proc(bait->host, "mem"), O_RDONLY);
}

static long read_host_maps(const struct escape_bait *bait)
{
	return KERNEL(openat, AT_FDCWD, escape_proc(bait->host, "maps"), O_RDONLY);
}

static long read_own_maps(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(openat, AT_FDCWD, "/proc/self/maps", O_RDONLY);
}

/* What memory is mapped for does not bind whoever writes by this door. */
static long write_own_code(const struct escape_bait *bait)
{
	long fd = KERNEL(openat, AT_FDCWD, "/proc/self/mem", O_RDWR);

	(void)bait;
	return fd < 0 ? fd : KERNEL(pwrite64, fd, "\xc3", 1, (long)(void *)read_own_maps);
}

static long map_host_word(const struct escape_bait *bait)
{
	/* The number of NUMA nodes does not matter: nothing is moved. */
	void *page = bait->word;
	int status;

	return KERNEL(move_pages, bait->sibling, 1, &page, NULL, &status, 0);
}

static long grow_memory(const struct escape_bait *bait)
{
	return KERNEL(ftruncate, bait->memory, 1L << 40);
}

static long allocate_memory(const struct escape_bait *bait)
{
	return KERNEL(fallocate, bait->memory, 0, 0, 8 * PAGE_BYTES);
}

/* Its bytes become zeros under whoever reads them. */
static long punch_memory(const struct escape_bait *bait)
{
	return KERNEL(fallocate, bait->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
	              PAGE_BYTES);
}

static long shrink_memory(const struct escape_bait *bait)
{
	return KERNEL(ftruncate, bait->memory, 0);
}

static long seal_memory(const struct escape_bait *bait)
{
	return KERNEL(fcntl, bait->memory, F_ADD_SEALS, F_SEAL_GROW);
}

static long change_memory_mode(const struct escape_bait *bait)
{
	return KERNEL(fchmod, bait->memory, 0777);
}

static long write_read_only(const struct escape_bait *bait)
{
	return KERNEL(write, bait->read_only, "x", 1);
}

static long map_read_only_writable(const struct escape_bait *bait)
{
	return KERNEL(mmap, NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bait->read_only,
	              0);
}

/* The descriptor is for reading, the file behind it is the user's own. */
static long reopen_read_only(const struct escape_bait *bait)
{
	char digits[16];
	int number = bait->read_only;
	char *digit = digits + sizeof(digits) - 1;

	*digit = '\0';
	do
		*--digit = (char)('0' + number % 10);
	while (number /= 10);
	return KERNEL(openat, AT_FDCWD, escape_proc(0, digit), O_RDWR);
}

static long map_executable(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(mmap, NULL, PAGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
	              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long map_file_executable(const struct escape_bait *bait)
{
	return KERNEL(mmap, NULL, PAGE_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE, bait->memory, 0);
}

static long make_executable(const struct escape_bait *bait)
{
	long page = KERNEL(mmap, NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)bait;
	return page < 0 ? page : KERNEL(mprotect, page, PAGE_BYTES, PROT_READ | PROT_EXEC);
}

static long make_executable_by_key(const struct escape_bait *bait)
{
	long page = KERNEL(mmap, NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)bait;
	/* Key -1: none, as mprotect. */
	return page < 0 ? page : KERNEL(pkey_mprotect, page, PAGE_BYTES, PROT_READ | PROT_EXEC, -1);
}

static long attach_executable(const struct escape_bait *bait)
{
	return KERNEL(shmat, bait->segment, NULL, SHM_EXEC);
}

static long secret_memory(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(memfd_secret, 0);
}

static long remap_pages(const struct escape_bait *bait)
{
	long page = KERNEL(mmap, NULL, 2 * PAGE_BYTES, PROT_READ, MAP_SHARED, bait->memory, 0);

	return page < 0 ? page : KERNEL(remap_file_pages, page, PAGE_BYTES, 0, 1, 0);
}

/*
 * Pages of equal content become one, and a store to one takes longer: others' content can be
 * guessed.
 */
static long merge_pages(const struct escape_bait *bait)
{
	static char page[2 * PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));

	(void)bait;
	return KERNEL(madvise, page, sizeof(page), MADV_MERGEABLE);
}

static long take_huge_pages(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(mmap, NULL, 2L << 20, PROT_READ,
	              MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
}

/* The pages behind a map are freed, and read as zeros by everybody. */
static long remove_pages(const struct escape_bait *bait)
{
	long page =
		KERNEL(mmap, NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bait->memory, 0);

	return page < 0 ? page : KERNEL(madvise, page, PAGE_BYTES, MADV_REMOVE);
}

static const struct escape_attempt attempts[] = {
	{"read-sibling", read_sibling, "Yama can refuse it"},
	{"read-host", read_host, "Yama can refuse it"},
	{"write-sibling", write_sibling, "Yama can refuse it"},
	{"open-sibling-memory", open_sibling, "Yama can refuse it"},
	{"open-host-memory", open_host, "Yama can refuse it"},
	{"read-host-maps", read_host_maps, NULL},
	{"read-own-maps", read_own_maps, NULL},
	{"write-own-code", write_own_code, ESCAPE_OPTIONAL},
	{"query-sibling-pages", map_host_word, ESCAPE_OPTIONAL},
	{"grow-memory", grow_memory, NULL},
	{"allocate-memory", allocate_memory, NULL},
	{"punch-memory", punch_memory, NULL},
	{"shrink-memory", shrink_memory, "the seal holds"},
	{"seal-memory", seal_memory, NULL},
	{"change-memory-mode", change_memory_mode, NULL},
	{"write-read-only", write_read_only, "the descriptor is for reading"},
	{"map-read-only-writable", map_read_only_writable, "the descriptor is for reading"},
	{"reopen-read-only", reopen_read_only, NULL},
	{"map-executable", map_executable, NULL},
	{"map-file-executable", map_file_executable, NULL},
	{"make-executable", make_executable, NULL},
	{"make-executable-by-key", make_executable_by_key, ESCAPE_OPTIONAL},
	{"attach-executable", attach_executable, NULL},
	{"secret-memory", secret_memory, ESCAPE_OPTIONAL},
	{"remap-pages", remap_pages, NULL},
	{"merge-pages", merge_pages, ESCAPE_OPTIONAL},
	{"take-huge-pages", take_huge_pages, ESCAPE_OPTIONAL},
	{"remove-pages", remove_pages, NULL},
};

const struct escape_group escape_memory = {"memory", attempts, ESCAPE_COUNT_OF(attempts)};
