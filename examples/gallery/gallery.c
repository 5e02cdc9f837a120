/*
 * A contact sheet of a folder of pictures, whoever made them (system S10).
 *
 *   gallery [OPTIONS] FOLDER
 *
 *     -o, --output SHEET.png     where it goes; else contact-sheet.png
 *     -j, --processes COUNT      pictures that are decoded at once; else as there are processors
 *     -w, --width PIXELS         of a tile, 64 to 1024; else 200
 *         --timeout SECONDS      that a picture may take; else 10
 *         --module EXT=MODULE    for png, jpeg or webp instead of ours, or for files named *.EXT
 *         --control DIRECTORY    of the named pipes for control (control.c); else a temporary one
 *     -v, --verbose              say on standard error where these pipes are, and on standard output
 *                                where each tile is
 *
 * It has the model of a browser: this program decodes nothing itself. Each picture is decoded in a
 * process of its own, which has the picture, memory and time, and nothing else of the system; the
 * decoders are modules, one worker for each, and a named pipe for control to each. A picture that
 * is damaged, or that takes its decoder over, costs its own tile, which says what happened. See
 * ARCHITECTURE.md.
 *
 * Exit status: 0 if all pictures are on the sheet; 1 if some are not, or there is none; 2 usage. A
 * signal ends it as signals do, with nothing left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "gallery.h"
#include "sheet_file.h"

#define TILE_MIN        64
#define TILE_MAX        1024
#define TILE_DEFAULT    200
#define SECONDS_DEFAULT 10
#define SECONDS_MAX     1e6

enum { OPTION_TIMEOUT = 256, OPTION_MODULE, OPTION_CONTROL, OPTION_HELP };

static const struct option option_table[] = {
	{"output", required_argument, NULL, 'o'},
	{"processes", required_argument, NULL, 'j'},
	{"width", required_argument, NULL, 'w'},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"module", required_argument, NULL, OPTION_MODULE},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"usage: gallery [-o SHEET.png] [-j PROCESSES] [-w TILE] [--timeout SECONDS]\n"
	"               [--module EXT=MODULE.so]... [--control DIRECTORY] [-v] FOLDER\n";

/* --- the command line --- */

static bool take_number(const char *text, double least, double most, double *ret_number)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end || !(number >= least && number <= most)) {
		fprintf(stderr, "gallery: %s is no number from %g to %g\n", text, least, most);
		return false;
	}
	*ret_number = number;
	return true;
}

static bool take_count(const char *text, double least, double most, uint32_t *ret_count)
{
	double number;

	if (!take_number(text, least, most, &number))
		return false;
	*ret_count = (uint32_t)number;
	return true;
}

/* One that is known gets another module; a new one stands behind them. */
static bool take_module(struct gallery *gallery, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t length = equals ? (size_t)(equals - text) : 0;
	struct decoder *decoder = gallery->decoders;
	size_t i = 0;

	if (length == 0 || length > DECODER_NAME_MAX || memchr(text, '/', length) ||
	    text[0] == '.' || !equals[1]) {
		fprintf(stderr, "gallery: %s is not EXT=MODULE\n", text);
		return false;
	}
	while (i < gallery->decoder_count &&
	       (strncmp(decoder[i].name, text, length) != 0 || decoder[i].name[length] != '\0'))
		i++;
	if (i == DECODERS_MAX) {
		fprintf(stderr, "gallery: no more than %d kinds of pictures\n", DECODERS_MAX);
		return false;
	}
	if (i == gallery->decoder_count)
		gallery->decoder_count++;
	memcpy(decoder[i].name, text, length);
	free(decoder[i].module);
	decoder[i].module = strdup(equals + 1);
	return decoder[i].module != NULL;
}

static bool take_option(struct gallery *gallery, int option)
{
	struct options *options = &gallery->options;
	double seconds = 0;

	switch (option) {
	case 'o':
		options->sheet = optarg;
		return true;
	case 'j':
		return take_count(optarg, 1, AYRE_WORKER_PROCESSES_MAX, &options->processes);
	case 'w':
		return take_count(optarg, TILE_MIN, TILE_MAX, &options->tile);
	case OPTION_TIMEOUT:
		if (!take_number(optarg, 0.001, SECONDS_MAX, &seconds))
			return false;
		options->timeout_ns = (int64_t)(seconds * 1e9);
		return true;
	case OPTION_MODULE:
		return take_module(gallery, optarg);
	case OPTION_CONTROL:
		options->control = optarg;
		return true;
	case 'v':
		options->is_verbose = true;
		return true;
	default:
		return false;
	}
}

/* Our own modules lie beside the program. */
static bool find_modules(struct gallery *gallery)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	if (!slash) {
		fputs("gallery: /proc does not tell where its modules are\n", stderr);
		return false;
	}
	*slash = '\0';
	for (size_t i = 0; i < gallery->decoder_count; i++) {
		struct decoder *decoder = &gallery->decoders[i];

		if (!decoder->module &&
		    asprintf(&decoder->module, "%s/%s_decode.so", path, decoder->name) == -1)
			return false;
	}
	return true;
}

/* Returns 0, or the exit status, less 1. */
static int take_arguments(struct gallery *gallery, int count, char **arguments)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int option;

	gallery->options = (struct options){
		.sheet = "contact-sheet.png",
		.processes = processors < 1                           ? 1
	                     : processors > AYRE_WORKER_PROCESSES_MAX ? AYRE_WORKER_PROCESSES_MAX
	                                                              : (uint32_t)processors,
		.tile = TILE_DEFAULT,
		.timeout_ns = INT64_C(1000000000) * SECONDS_DEFAULT,
	};
	while ((option = getopt_long(count, arguments, "o:j:w:v", option_table, NULL)) != -1) {
		if (option == OPTION_HELP) {
			fputs(usage, stdout);
			exit(fflush(stdout) != 0);
		}
		if (!take_option(gallery, option)) {
			fputs(usage, stderr);
			return 2;
		}
	}
	if (count - optind != 1) {
		fputs(usage, stderr);
		return 2;
	}
	gallery->options.folder = gallery->folder.path = arguments[optind];
	return find_modules(gallery) ? 0 : 1;
}

/* --- from the folder to the sheet --- */

/* Those that were ignored stay so, as under nohup(1). */
static int open_signals(struct gallery *gallery, sigset_t *before)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action;
	sigset_t ours;

	sigemptyset(&ours);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&ours, numbers[i]);
	sigprocmask(SIG_BLOCK, &ours, before);
	gallery->signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	return gallery->signals == -1 ? -errno : 0;
}

static void write_head(struct gallery *gallery, char summary[256])
{
	const struct folder *folder = &gallery->folder;
	size_t failed = 0, skipped = 0;
	char *path = realpath(folder->path, NULL), title[PATH_MAX];
	const char *slash = path ? strrchr(path, '/') : NULL;
	const char *name = slash && slash[1] ? slash + 1 : folder->path;
	int length;

	for (size_t i = 0; i < folder->count; i++) {
		failed += folder->pictures[i].state == PICTURE_FAILED;
		skipped += folder->pictures[i].state == PICTURE_SKIPPED;
	}
	length = snprintf(summary, 256, "%zu picture%s", folder->count,
	                  folder->count == 1 ? "" : "s");
	if (failed > 0)
		length += snprintf(summary + length, 64, ", %zu failed", failed);
	if (skipped > 0)
		length += snprintf(summary + length, 64, ", %zu skipped", skipped);
	if (folder->other_count > 0)
		snprintf(summary + length, 64, ", %zu other file%s", folder->other_count,
		         folder->other_count == 1 ? "" : "s");
	text_clean(name, strlen(name), title, sizeof(title));
	sheet_head(gallery->sheet, title, summary);
	free(path);
}

/* X Y WIDTH HEIGHT NAME: what became of it */
static void list_tiles(const struct gallery *gallery)
{
	for (size_t i = 0; i < gallery->folder.count; i++) {
		const struct picture *picture = &gallery->folder.pictures[i];
		struct sheet_place place = sheet_place_of(gallery->sheet, i);
		const struct trouble *trouble = &picture->trouble;
		char name[1024];

		text_clean(picture->name, strlen(picture->name), name, sizeof(name));
		printf("%u %u %u %u %s: %s%s%s\n", place.x, place.y, place.width, place.height,
		       name, picture->state == PICTURE_SHOWN ? "shown" : trouble->what,
		       *trouble->detail ? ": " : "", trouble->detail);
	}
}

static int fail(struct gallery *gallery, const char *what, int code)
{
	if (code != -EINTR)
		text_say(gallery, "%s: %s", what, strerror(-code));
	return 1;
}

static int finish(struct gallery *gallery)
{
	size_t failed = 0;
	char summary[256];
	int result;

	write_head(gallery, summary);
	result = sheet_write(gallery->sheet, gallery->options.sheet, work_should_stop, gallery);
	if (result < 0)
		return fail(gallery, gallery->options.sheet, result);
	if (gallery->options.is_verbose)
		list_tiles(gallery);
	printf("%s: %s\n", gallery->options.sheet, summary);
	for (size_t i = 0; i < gallery->decoder_count; i++)
		failed += gallery->decoders[i].failed_count;
	return ferror(stdout) || fflush(stdout) != 0 || failed > 0;
}

static int run(struct gallery *gallery)
{
	const struct options *options = &gallery->options;
	int result = folder_scan(gallery, options->sheet);

	if (result < 0)
		return fail(gallery, options->folder, result);
	if (gallery->folder.count == 0) {
		text_say(gallery, "%s: no pictures there", options->folder);
		return 1;
	}
	result = sheet_file_try(options->sheet);
	if (result < 0)
		return fail(gallery, options->sheet, result);
	result = sheet_open(options->tile, gallery->folder.count, &gallery->sheet);
	if (result == -EFBIG) {
		text_say(gallery, "%s: %zu pictures of this width have no room on a sheet",
		         options->folder, gallery->folder.count);
		return 1;
	}
	if (result == 0)
		result = decoder_open_all(gallery);
	if (result < 0)
		return fail(gallery, options->folder, result);
	if (control_open(gallery) < 0)
		return 1;
	result = work_run(gallery);
	if (result < 0)
		return fail(gallery, "poll", result);
	return gallery->signal ? 1 : finish(gallery);
}

static void end_by_signal(int number, const sigset_t *before)
{
	signal(number, SIG_DFL);
	raise(number);
	sigprocmask(SIG_SETMASK, before, NULL);
	_exit(128 + number); /* it was blocked when we came */
}

int main(int count, char **arguments)
{
	static struct gallery gallery = {.signals = -1, .folder = {.fd = -1}};
	sigset_t before;
	int status;

	folder_add_decoders(&gallery);
	status = take_arguments(&gallery, count, arguments);
	if (status == 0) {
		gallery.is_terminal = isatty(STDERR_FILENO);
		status = open_signals(&gallery, &before) < 0 ? 1 : run(&gallery);
	}
	control_close(&gallery);
	decoder_close_all(&gallery);
	sheet_close(gallery.sheet);
	folder_free(&gallery.folder);
	for (size_t i = 0; i < gallery.decoder_count; i++)
		free(gallery.decoders[i].module);
	if (gallery.signals >= 0)
		close(gallery.signals);
	if (gallery.signal)
		end_by_signal(gallery.signal, &before);
	return status;
}
