/*
 * Pulls the plug of the file system that a directory is on: shutdown_fs DIRECTORY
 *
 * From here on nothing more reaches its disk, neither the dirty pages nor the log that is
 * still in memory: what a power cut leaves. For file systems made for this test only.
 * Exit: 0; 1 it failed; 77 this file system cannot.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "power/shutdown.h"

int main(int argc, char **argv)
{
	uint32_t how = SHUTDOWN_NO_LOG_FLUSH;
	int directory, result;

	if (argc != 2) {
		fprintf(stderr, "usage: shutdown_fs DIRECTORY\n");
		return 2;
	}
	directory = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory == -1) {
		fprintf(stderr, "shutdown_fs: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	result = ioctl(directory, SHUTDOWN, &how) == -1 ? errno : 0;
	close(directory);
	if (result)
		fprintf(stderr, "shutdown_fs: %s: %s\n", argv[1], strerror(result));
	if (result == ENOTTY || result == EOPNOTSUPP)
		return 77;
	return result ? 1 : 0;
}
