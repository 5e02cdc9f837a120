/*
 * The textbook's program for System V shared memory, which knows nothing of ayre:
 *
 *   shmdemo [TEXT]
 *
 * Its segment has 1 KiB and a key made from its own source file and the letter R, so it is
 * started where that file lies. With TEXT it writes that into the segment, else it prints
 * what is there. Plain system calls only: ayre is to fit what others have written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define SHM_SIZE 1024

int main(int argc, char *argv[])
{
	key_t key;
	int shmid;
	char *data;

	if (argc > 2) {
		fprintf(stderr, "usage: shmdemo [data_to_write]\n");
		exit(1);
	}

	key = ftok("shmdemo.c", 'R');
	if (key == -1) {
		perror("ftok");
		exit(1);
	}

	/* connect to (and possibly create) the segment */
	shmid = shmget(key, SHM_SIZE, 0644 | IPC_CREAT);
	if (shmid == -1) {
		perror("shmget");
		exit(1);
	}

	data = shmat(shmid, NULL, 0);
	if (data == (char *)-1) {
		perror("shmat");
		exit(1);
	}

	if (argc == 2) {
		printf("writing to segment: \"%s\"\n", argv[1]);
		strncpy(data, argv[1], SHM_SIZE - 1);
		data[SHM_SIZE - 1] = '\0';
	} else {
		printf("segment contains: \"%s\"\n", data);
	}

	if (shmdt(data) == -1) {
		perror("shmdt");
		exit(1);
	}
	return 0;
}
