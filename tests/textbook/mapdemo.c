/*
 * The textbook's program for a shared mapped file, which knows nothing of ayre:
 *
 *   mapdemo r FILE    prints the 20 mapped bytes every second
 *   mapdemo w FILE    fills them from each line of its input
 *
 * Either may be started first, as often as you like. Plain system calls only: ayre is to fit what
 * others have written.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAP_SIZE 20

static void print_for_ever(const char *map)
{
	for (;;) {
		printf("%.*s\n", MAP_SIZE, map);
		fflush(stdout);
		sleep(1);
	}
}

static void fill_from_input(char *map)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		memset(map, 0, MAP_SIZE);
		memcpy(map, line, strnlen(line, MAP_SIZE));
	}
}

int main(int argc, char *argv[])
{
	char *map;
	int fd;

	if (argc != 3 || (strcmp(argv[1], "r") != 0 && strcmp(argv[1], "w") != 0)) {
		fprintf(stderr, "usage: mapdemo r|w file\n");
		exit(1);
	}

	fd = open(argv[2], O_RDWR | O_CREAT, 0644);
	if (fd == -1) {
		perror("open");
		exit(1);
	}
	/* a new file has no bytes that could be mapped */
	if (ftruncate(fd, MAP_SIZE) == -1) {
		perror("ftruncate");
		exit(1);
	}

	map = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	close(fd);

	if (argv[1][0] == 'r')
		print_for_ever(map);
	else
		fill_from_input(map);

	if (munmap(map, MAP_SIZE) == -1) {
		perror("munmap");
		exit(1);
	}
	return 0;
}
