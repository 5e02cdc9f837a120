/*
 * Stands before the C library's fdatasync(2), to be loaded before it (LD_PRELOAD): from the flush on whose number
 * FAIL_FLUSH says, from 1, it fails with EIO, as a disk does that has lost a write.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	static int count;
	const char *first = getenv("FAIL_FLUSH");

	if (first && ++count >= atoi(first)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}
