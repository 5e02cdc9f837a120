/*
 * The parts of crash_points.c, which says what they are for.
 *
 *   crash_image   a disk's content in layers, so that a crash costs what differs, not a copy
 *   crash_serve   the disk as a file (FUSE); writes down what the kernel does to it
 *   crash_pick    what is left of a disk when the power goes at an event
 *   crash_machine the machine with that disk: loop device, file system, commands
 *   crash_explore lives, recorded, and the crashes in them
 */
#ifndef AYRE_TESTS_POWER_CRASH_H
#define AYRE_TESTS_POWER_CRASH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CRASH_PAGE   4096
#define CRASH_SECTOR 512

/* Exit statuses of crash_points. */
enum { CRASH_FAILED = 1, CRASH_USAGE, CRASH_NO_RESULT, CRASH_SKIPPED = 77 };

/* --- crash_image --- */

/* Reads through to what is below, keeps what is written for itself. */
struct image {
	const struct image *below; /* NULL: zeros */
	uint64_t size_bytes;       /* a multiple of a page */
	unsigned char **pages;     /* NULL: as below */
	size_t *touched;           /* the numbers of those that are not NULL */
	size_t touched_count;
};

void image_init(struct image *image, const struct image *below, uint64_t size_bytes);
void image_reset(struct image *image);
void image_read(const struct image *image, uint64_t offset, void *bytes, size_t length);

/* bytes NULL: zeros */
void image_write(struct image *image, uint64_t offset, const void *bytes, uint64_t length);

/* All of image, layers below included, becomes what is in to, which is an image without any below. */
void image_flatten(const struct image *image, struct image *to);

/* As a sparse file; zero or a negative errno. */
int image_save(const struct image *image, const char *path);

/* --- crash_serve --- */

enum event_kind {
	EVENT_WRITE,
	EVENT_ZERO,  /* a discard, or zeros written without bytes */
	EVENT_FLUSH, /* all before it is safe */
	EVENT_MARK,  /* what a program has to say: one write(2) to the marks */
};

struct event {
	enum event_kind kind;
	uint64_t offset;
	uint64_t length;
	unsigned char *bytes; /* of a write and of a mark */
};

/* In the order in which they happened to the disk. */
struct event_log {
	struct event *events;
	size_t count;
	size_t room;
};

void event_log_clear(struct event_log *log);

struct server {
	pthread_mutex_t lock;  /* of what stands below */
	struct image *image;   /* what the disk holds now */
	struct event_log *log; /* NULL: nothing is written down */
	uint64_t size_bytes;
	struct fuse_session *session;
	pthread_t thread;
};

/* Serves DIRECTORY/disk and DIRECTORY/marks by a thread; zero or a negative errno. */
int server_start(struct server *server, const char *directory, uint64_t size_bytes);
void server_turn(struct server *server, struct image *image, struct event_log *log);

/* --- crash_pick --- */

/* splitmix64: the next number of a stream, and one below a limit. */
uint64_t crash_random(uint64_t *stream);
uint64_t crash_below(uint64_t *stream, uint64_t limit);

enum crash_kind {
	CRASH_PREFIX, /* the first of the writes since the last flush */
	CRASH_TORN,   /* the same, and parts of the one that follows */
	CRASH_SUBSET, /* some of them, whichever */
	CRASH_SHREDS, /* some of them, and parts of others */
	CRASH_KINDS,
};

extern const char *const crash_kinds[CRASH_KINDS];

struct crash {
	uint64_t stream; /* where the choice below begins: the same again makes the same disk */
	size_t event;    /* the power goes before this one */
	size_t flushed;  /* everything before this one is safe */
	enum crash_kind kind;
	size_t unit;                       /* torn writes are cut at multiples of this */
	unsigned int pending, whole, torn; /* how many writes were pending, and became what */
};

/* On an image that holds all before crash->flushed, in a layer of its own. */
void crash_apply(struct crash *crash, const struct event_log *log, struct image *image);

/* --- crash_machine --- */

struct machine {
	const char *file_system; /* ext4, xfs */
	struct server server;
	pid_t process;
	int orders_fd;
	int device_fd; /* this and the next only in the machine's own process */
	char device[32];
};

/* With served/ and mounted/ in the working directory. Skips with a reason if it cannot be. */
void machine_make(struct machine *machine, const char *file_system, uint64_t size_bytes);
void machine_end(struct machine *machine);

/* With what server_turn() has said; mkfs's exit status or a negative errno. */
int machine_format(const struct machine *machine);

/* Mounts the disk, and has an empty memory (/dev/shm); zero or a negative errno. */
int machine_start(const struct machine *machine);

/* All that has happened so far is safe. */
void machine_settle(const struct machine *machine);

/* The power goes: every process ends, and nothing more reaches the disk. */
void machine_cut(const struct machine *machine);

/* Runs a command to its end. words: as they were when the machine was made. input_fd, of then,
 * too, is its standard input, output_fd both of its outputs; -1: ours. Its exit status; 128 and
 * the signal; or a negative errno: -ETIME after 120 seconds. */
int machine_run(const struct machine *machine, uint64_t life, const char *const *words,
                int input_fd, int output_fd);

/* --- crash_explore --- */

struct options {
	const char *file_system, *keep;
	uint64_t points, lives, seed, size_mib;
	bool first;
	const char **workload, **check;
};

/* Ends the process if there is no result. */
_Noreturn void give_up(const char *what, int result);

/* The exit status. */
int explore(const struct options *options);

#endif
