/*
 * What tests of the guard need.
 */
#include "memory/guard_world.h"

#include <fcntl.h>
#include <setjmp.h>

size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

struct ayre_segment *open_numbered(unsigned int number, uint32_t flags)
{
	char name[NAME_BYTES];
	struct ayre_segment *segment;

	require(ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE | flags,
	                                  .size_bytes = PAGES * page_bytes()),
	                          make_name(name, AYRE_BACKING_FILE, number), &segment, NULL) == 1);
	if (!(flags & AYRE_SEGMENT_READ_ONLY))
		memset(ayre_segment_data(segment), 'a', PAGES * page_bytes());
	return segment;
}

void cut_numbered(unsigned int number)
{
	char path[NAME_BYTES];

	require(truncate(make_path(path, AYRE_BACKING_FILE, number), (off_t)page_bytes()) == 0);
}

void remove_numbered(unsigned int number, struct ayre_segment *segment)
{
	char name[NAME_BYTES];

	ayre_segment_close(segment);
	require(ayre_segment_remove(make_name(name, AYRE_BACKING_FILE, number), NULL) == 0);
}

char touch(const void *data, size_t page)
{
	return *((const volatile char *)data + page * page_bytes());
}

char *map_trap(void *hint, int flags)
{
	int fd = memfd_create("trap", MFD_CLOEXEC);
	char *trap;

	require(ftruncate(fd, (off_t)page_bytes()) == 0);
	trap = mmap(hint, page_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);
	require(trap != MAP_FAILED);
	require(ftruncate(fd, 0) == 0);
	close(fd);
	return trap;
}

static sigjmp_buf escape;
static _Thread_local volatile sig_atomic_t escaping;
void *volatile fault_address;
volatile sig_atomic_t faults;

void escape_with_address(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	faults++;
	fault_address = info->si_addr;
	if (escaping)
		siglongjmp(escape, 1);
}

void escape_plainly(int number)
{
	faults++;
	if (escaping && number == SIGBUS)
		siglongjmp(escape, 1);
}

void install_host_handler(bool with_address)
{
	struct sigaction action = {.sa_flags = SA_NODEFER};

	if (with_address) {
		action.sa_flags |= SA_SIGINFO;
		action.sa_sigaction = escape_with_address;
	} else {
		action.sa_handler = escape_plainly;
	}
	require(sigaction(SIGBUS, &action, NULL) == 0);
}

bool is_host_told(const char *data)
{
	if (sigsetjmp(escape, 1) == 0) {
		escaping = 1;
		(void)touch(data, 0);
		escaping = 0;
		return false;
	}
	escaping = 0;
	return true;
}
