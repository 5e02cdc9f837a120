/*
 * A driver for compilers without libFuzzer: inputs are drawn from those that a fuzzer begins with, and
 * changed.
 *
 *   fuzz_NAME [SECONDS [SEED]]   for so long (1), from this seed (1)
 *   fuzz_NAME FILE...            these inputs
 *   fuzz_NAME --corpus FOLDER    writes the inputs to begin with there, for libFuzzer
 *
 * Says what it has done in TAP. An input that breaks something is in the file that is named by then.
 */
#include "fuzz.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

/* An input takes far less; one that takes longer hangs. */
#define HANGS_SECONDS 20

static uint32_t state = 1;
static uint8_t *input;
static size_t input_bytes;

static uint32_t below(uint32_t bound)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % bound;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* --- changing --- */

static uint64_t aimed_word(void)
{
	static const uint64_t bounds[] = {
		0,          1,         8,          FUZZ_RING / 4,  FUZZ_RING,    1u << 31,
		UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX / 2, 2 * FUZZ_RING};
	uint64_t near = below(33),
		 word = bounds[below(sizeof(bounds) / sizeof(*bounds))] + near - 16;

	if (below(4) == 0)
		word = (uint64_t)below(UINT32_MAX) << 32 | below(UINT32_MAX);
	/* A header of a record. */
	if (below(3) == 0)
		word = (uint32_t)word | (uint64_t)below(5) << 32 | (uint64_t)below(3) << 40;
	return word;
}

static void change_once(void)
{
	size_t at = below((uint32_t)input_bytes), to, length;
	uint64_t word;

	switch (below(5)) {
	case 0:
		input[at] ^= (uint8_t)(1u << below(8));
		break;
	case 1:
		input[at] = (uint8_t)below(256);
		break;
	case 2:
		to = below((uint32_t)input_bytes);
		length = below(64);
		if (at + length <= input_bytes && to + length <= input_bytes)
			memmove(input + to, input + at, length);
		break;
	default:
		/* The words of a layout stand at its beginning. */
		at = (below(2) ? at : below(512)) / 8 * 8;
		word = aimed_word();
		if (at + sizeof(word) <= input_bytes)
			memcpy(input + at, &word, sizeof(word));
		break;
	}
}

static void draw_input(void)
{
	unsigned int count = 0;

	while (fuzz_begin_with(count, input) > 0)
		count++;
	input_bytes = fuzz_begin_with(below(count), input);
	for (unsigned int i = below(12); i > 0; i--)
		change_once();
	if (below(16) == 0)
		input_bytes = below((uint32_t)input_bytes) + 1;
}

/* --- running --- */

static void keep_input(int number)
{
	static char name[64];
	FILE *file;

	snprintf(name, sizeof(name), "fuzz-input-%d", getpid());
	file = fopen(name, "we");
	if (file && fwrite(input, 1, input_bytes, file) == input_bytes)
		fprintf(stderr, "signal %d: the input is in %s\n", number, name);
	if (file)
		fclose(file);
	signal(SIGALRM, SIG_DFL);
	alarm(5);
	fuzz_end();
	signal(number, SIG_DFL);
	raise(number);
}

/* A sanitizer's report ends with a signal, too. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "abort_on_error=1";
}

const char *__ubsan_default_options(void);
__attribute__((visibility("default"))) const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:abort_on_error=1:print_stacktrace=1";
}

/* But for those that a sanitizer has a handler for: its report comes first. */
static void catch_fatal(void)
{
	static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
	struct sigaction action;

	for (size_t i = 0; i < sizeof(fatal) / sizeof(*fatal); i++)
		if (sigaction(fatal[i], NULL, &action) == 0 && action.sa_handler == SIG_DFL)
			signal(fatal[i], keep_input);
}

static void run_file(const char *name)
{
	FILE *file = fopen(name, "re");

	check(file);
	input_bytes = fread(input, 1, fuzz_most_bytes, file);
	fclose(file);
	LLVMFuzzerTestOneInput(input, input_bytes);
}

static void write_corpus(const char *folder)
{
	size_t bytes;

	for (unsigned int i = 0; (bytes = fuzz_begin_with(i, input)) > 0; i++) {
		char name[512];
		FILE *file;

		snprintf(name, sizeof(name), "%s/begin-%u", folder, i);
		file = fopen(name, "we");
		check(file && fwrite(input, 1, bytes, file) == bytes);
		fclose(file);
	}
}

static void run_for(double seconds)
{
	double end = now() + seconds;
	uint64_t count = 0;

	for (; now() < end; count++) {
		draw_input();
		alarm(HANGS_SECONDS);
		LLVMFuzzerTestOneInput(input, input_bytes);
		alarm(0);
	}
	printf("# %lu inputs\nok 1 - nothing breaks\n1..1\n", count);
}

int main(int count, char **arguments)
{
	char *end = NULL;
	double seconds = count > 1 ? strtod(arguments[1], &end) : 1;

	input = malloc(fuzz_most_bytes);
	check(input);
	if (count == 3 && strcmp(arguments[1], "--corpus") == 0) {
		write_corpus(arguments[2]);
	} else if (end && *end) {
		for (int i = 1; i < count; i++)
			run_file(arguments[i]);
	} else {
		catch_fatal();
		state = (count > 2 ? (uint32_t)strtoul(arguments[2], NULL, 0) : 1) * 2654435761u |
		        1;
		run_for(seconds);
	}
	free(input);
	return 0;
}
