/*
 * Counters in a file that several processes map (systems S2 and S3): access at random through a
 * pointer, with no seek and no buffer; what one process stores, the others see at once.
 *
 *   shared_counter FILE add COUNT      adds COUNT ones, each to a counter picked at random
 *   shared_counter FILE watch TOTAL    prints how many were added as it grows, up to TOTAL
 *
 * Run several at once: no addition is lost, because each is one atomic instruction on memory
 * that all of them share. The file is 4 MiB; a page of it comes into memory when it is touched.
 *
 * Compiled by
 *
 *   cc -o shared_counter shared_counter.c $(pkg-config --cflags --libs ayre)
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ayre.h>

#define COUNTERS (512 * 1024)

/* Without a lock of its own, which would be different memory in each process. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "atomics that work between processes");

typedef _Atomic(uint64_t) counter;

/* counters[0] is how many additions there were, the others are what was added to. */
static void add(counter *counters, uint64_t count)
{
	unsigned short state[3] = {(unsigned short)getpid(), (unsigned short)time(NULL), 0};

	for (uint64_t i = 0; i < count; i++) {
		long picked = 1 + nrand48(state) % (COUNTERS - 1);

		atomic_fetch_add_explicit(&counters[picked], 1, memory_order_relaxed);
		/* Release: who sees the total that comes of this sees the addition, too. */
		atomic_fetch_add_explicit(&counters[0], 1, memory_order_release);
	}
}

static int watch(const counter *counters, uint64_t wanted)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	uint64_t total, before = UINT64_MAX, sum = 0;

	do {
		total = atomic_load_explicit(&counters[0], memory_order_acquire);
		if (total != before)
			printf("%" PRIu64 "\n", total);
		fflush(stdout);
		before = total;
	} while (total < wanted && nanosleep(&pause, NULL) == 0);
	for (size_t i = 1; i < COUNTERS; i++)
		sum += atomic_load_explicit(&counters[i], memory_order_relaxed);
	/* It can be more, while others are adding. */
	if (sum < total)
		fprintf(stderr, "shared_counter: only %" PRIu64 " additions are there\n", sum);
	return sum < total;
}

int main(int argc, char **argv)
{
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.flags = AYRE_SEGMENT_CREATE,
		.size_bytes = COUNTERS * sizeof(counter),
	};
	bool adds = argc == 4 && strcmp(argv[2], "add") == 0;
	bool watches = argc == 4 && strcmp(argv[2], "watch") == 0;
	struct ayre_segment *segment;
	struct ayre_error error;
	char name[4200], text[640], *end;
	uint64_t number = 0;
	int lost = 0;

	if (adds || watches)
		number = strtoull(argv[3], &end, 10);
	if ((!adds && !watches) || *end) {
		fprintf(stderr, "usage: shared_counter FILE add COUNT | watch TOTAL\n");
		return 2;
	}
	snprintf(name, sizeof(name), "file:%s", argv[1]);
	/* Whoever comes first makes the file, of zeros; a file too small for us is an error. */
	if (ayre_segment_open(&options, name, &segment, &error) < 0) {
		fprintf(stderr, "shared_counter: %s\n",
		        ayre_error_text(&error, text, sizeof(text)));
		return 1;
	}
	if (adds)
		add(ayre_segment_data(segment), number);
	else
		lost = watch(ayre_segment_data(segment), number);
	/* Unmaps. */
	ayre_segment_close(segment);
	return lost || ferror(stdout) || fflush(stdout) != 0;
}
