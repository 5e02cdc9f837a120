/*
 * Lets the power go at many points of a program's life, and has another program look each time.
 *
 *   crash_points [OPTION]... :: WORKLOAD [WORD]... :: CHECK [WORD]...
 *
 *     --file-system ext4|xfs   on the disk (ext4)
 *     --points N               crashes in all (100)
 *     --lives N                over how many lives they are spread (1); each begins with what a
 *                              crash in the one before has left
 *     --seed N                 makes the same choices again ($AYRE_TEST_SEED, else random)
 *     --size MIB               of the disk (320)
 *     --first                  stop at the first failure
 *     --keep FILE              the first disk that failed, and FILE.marks
 *
 * README.md says what WORKLOAD and CHECK find and have to do. Everything that happens to the disk
 * while WORKLOAD runs is written down. Then for each crash, in the order of the log: the disk is
 * what the last flush before it has made safe, and what crash_pick.c leaves of the writes since;
 * it is mounted, which is the file system's recovery, and CHECK is run.
 *
 * Exit: 0; 1 a check failed; 2 usage; 3 no result; 77 not possible here, standard output says why.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "power/crash.h"

static _Noreturn void usage(void)
{
	fprintf(stderr,
	        "usage: crash_points [--file-system ext4|xfs] [--points N] [--lives N] [--seed N]\n"
	        "                    [--size MIB] [--first] [--keep FILE]\n"
	        "                    :: WORKLOAD [WORD]... :: CHECK [WORD]...\n");
	exit(CRASH_USAGE);
}

static uint64_t parse_number(const char *word)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(word, &end, 0);
	if (errno || end == word || *end)
		usage();
	return number;
}

static uint64_t default_seed(void)
{
	const char *word = getenv("AYRE_TEST_SEED");
	uint32_t seed;

	if (word)
		return parse_number(word);
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		give_up("randomness", -errno);
	return seed;
}

/* Cuts ":: WORKLOAD... :: CHECK..." in two, each ended by NULL. */
static void parse_commands(const char **words, struct options *options)
{
	if (!*words || strcmp(*words, "::") != 0)
		usage();
	options->workload = ++words;
	while (*words && strcmp(*words, "::") != 0)
		words++;
	if (!*words || words == options->workload || !words[1])
		usage();
	*words = NULL;
	options->check = words + 1;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{"file-system", required_argument, NULL, 'f'},
		{"points", required_argument, NULL, 'p'},
		{"lives", required_argument, NULL, 'l'},
		{"seed", required_argument, NULL, 's'},
		{"size", required_argument, NULL, 'b'},
		{"first", no_argument, NULL, '1'},
		{"keep", required_argument, NULL, 'k'},
		{NULL, 0, NULL, 0},
	};
	struct options options = {.file_system = "ext4",
	                          .points = 100,
	                          .lives = 1,
	                          .seed = default_seed(),
	                          .size_mib = 320};
	char seed[32];
	int option;

	while ((option = getopt_long(argc, argv, "+", names, NULL)) != -1) {
		switch (option) {
		case 'f':
			options.file_system = optarg;
			break;
		case 'p':
			options.points = parse_number(optarg);
			break;
		case 'l':
			options.lives = parse_number(optarg);
			break;
		case 's':
			options.seed = parse_number(optarg);
			break;
		case 'b':
			options.size_mib = parse_number(optarg);
			break;
		case '1':
			options.first = true;
			break;
		case 'k':
			options.keep = optarg;
			break;
		default:
			usage();
		}
	}
	parse_commands((const char **)argv + optind, &options);
	if (options.lives == 0 || options.points < options.lives ||
	    (strcmp(options.file_system, "ext4") != 0 && strcmp(options.file_system, "xfs") != 0))
		usage();
	snprintf(seed, sizeof(seed), "%" PRIu64, options.seed);
	setenv("AYRE_TEST_SEED", seed, 1);
	return explore(&options);
}
