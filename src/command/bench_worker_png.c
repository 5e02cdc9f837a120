/*
 * PNG images, decoded in a worker and by the same function in this process.
 *
 * Invariant: all rows decode the same image on the same processor, the far one where there are two, and
 * read every byte of the pixels on their own; whose sum is wrong ends the benchmark with -EBADMSG.
 */
#include "command/bench_worker.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>

#include "command/bench_module.h"
#include "command/bench_pattern.h"
#include "command/command.h"
#include "command/output.h"

#define WARM_COUNT 3

typedef int module_function(const struct ayre_request *request, struct ayre_reply *reply);

enum png_way {
	PNG_DIRECT,
	PNG_KEPT,
	PNG_SPINNING,
	PNG_PLACED,
	PNG_FRESH,
	PNG_SPARE,
	PNG_COUNT,
};

struct png_bench {
	const struct bench_machine *machine;
	int cpu; /* that decodes */
	uint32_t side;
	module_function *encode, *decode;
	char *png;
	uint64_t png_bytes;
	char *pixels; /* with their head, as the function answers */
	uint64_t pixel_bytes, sum;
	struct ayre_worker *workers[PNG_COUNT];
};

/* --- the image --- */

static uint8_t level_at(double x, double y, unsigned int channel, uint64_t *seed)
{
	double phase = channel * 0.7;
	double level = 128 + 50 * sin(x * 5.1 + phase) * cos(y * 3.7) +
	               30 * sin((x + y) * 17 + phase) + 15 * sin(x * 61 - y * 43 + phase);

	return (uint8_t)fmin(fmax(level + (double)(pattern_random(seed) % 7) - 3, 0), 255);
}

/* Like a photograph: what changes slowly, what changes fast, and a little noise. */
static void draw(uint32_t side, uint8_t *pixels)
{
	uint64_t seed = side;

	for (uint32_t y = 0; y < side; y++)
		for (uint32_t x = 0; x < side; x++)
			for (unsigned int channel = 0; channel < 3; channel++)
				*pixels++ = level_at((double)x / side, (double)y / side, channel,
				                     &seed);
}

static int call_here(module_function *function, const void *data, uint64_t bytes, void *reply,
                     uint64_t capacity)
{
	const struct ayre_request request = {.size = sizeof(request), .data = data, .bytes = bytes};
	struct ayre_reply answer = {.size = sizeof(answer), .data = reply, .capacity = capacity};
	int result = function(&request, &answer);

	/* Fits: both have capacities far below. */
	return result == 0 ? (int)answer.bytes : -EIO;
}

static int encode(struct png_bench *bench)
{
	uint64_t raw_bytes = sizeof(struct bench_image) + (uint64_t)bench->side * bench->side * 3;
	struct bench_image *raw = malloc(raw_bytes);
	int result = -ENOMEM;

	/* What cannot be made smaller is a little larger. */
	bench->png = malloc(raw_bytes * 2 + 4096);
	if (raw && bench->png) {
		*raw = (struct bench_image){.width = bench->side, .height = bench->side};
		draw(bench->side, (uint8_t *)(raw + 1));
		result = call_here(bench->encode, raw, raw_bytes, bench->png, raw_bytes * 2 + 4096);
	}
	if (result >= 0)
		bench->png_bytes = (uint64_t)result;
	free(raw);
	return result < 0 ? result : 0;
}

/* What comes out of it is what was drawn. */
static int check_pixels(const struct png_bench *bench)
{
	uint64_t count = (uint64_t)bench->side * bench->side;
	const char *decoded = bench->pixels + sizeof(struct bench_image);
	uint8_t *drawn = malloc(count * 3);
	bool same = drawn;

	if (drawn)
		draw(bench->side, drawn);
	for (uint64_t i = 0; same && i < count; i++)
		same = memcmp(decoded + i * 4, drawn + i * 3, 3) == 0;
	free(drawn);
	return same ? 0 : -EBADMSG;
}

static int decode_first(struct png_bench *bench)
{
	uint64_t bytes = sizeof(struct bench_image) + (uint64_t)bench->side * bench->side * 4;
	int result = -ENOMEM;

	bench->pixels = aligned_alloc(64, (bytes + 63) & ~(uint64_t)63);
	if (bench->pixels)
		result = call_here(bench->decode, bench->png, bench->png_bytes, bench->pixels,
		                   bytes);
	if (result >= 0 && (uint64_t)result != bytes)
		result = -EBADMSG;
	if (result < 0)
		return result;
	bench->pixel_bytes = bytes;
	bench->sum = topic_sum((const uint64_t *)(const void *)bench->pixels, bytes);
	return check_pixels(bench);
}

static const char *prepare(void *state)
{
	struct png_bench *bench = state;
	const char *missing = bench_worker_missing();
	void *module = missing ? NULL : dlopen(bench_worker_module(), RTLD_NOW);

	if (missing)
		return missing;
	if (!module)
		return "the module cannot be loaded";
	*(void **)&bench->encode = dlsym(module, "bench_png_encode");
	*(void **)&bench->decode = dlsym(module, "bench_png_decode");
	if (!bench->encode || !bench->decode)
		return "the module was built without libpng";
	if (encode(bench) < 0 || decode_first(bench) < 0)
		return "the image cannot be made";
	return NULL;
}

/* --- a sample --- */

static int check_sum(const struct png_bench *bench, const void *pixels, int64_t bytes)
{
	if (bytes < 0)
		return (int)bytes;
	if ((uint64_t)bytes != bench->pixel_bytes)
		return -EBADMSG;
	return topic_sum(pixels, bench->pixel_bytes) == bench->sum ? 0 : -EBADMSG;
}

/* Pixels are what they are: no copy is needed. */
static int decode_in_place(const struct png_bench *bench, struct ayre_worker *worker)
{
	const struct ayre_worker_job job = {
		.size = sizeof(job),
		.function = "bench_png_decode",
		.request = bench->png,
		.request_bytes = bench->png_bytes,
	};
	struct ayre_worker_answer answer = {.size = sizeof(answer)};
	int result = ayre_worker_submit(worker, &job, NULL);

	if (result == 0)
		result = ayre_worker_collect_until(worker, AYRE_NO_DEADLINE, &answer);
	if (result < 0)
		return result;
	result = check_sum(bench, answer.data, answer.outcome);
	ayre_worker_release(worker, answer.call);
	return result;
}

static int decode_once(struct png_bench *bench, enum png_way way)
{
	int64_t bytes;

	if (way == PNG_PLACED)
		return decode_in_place(bench, bench->workers[way]);
	if (way == PNG_DIRECT)
		bytes = call_here(bench->decode, bench->png, bench->png_bytes, bench->pixels,
		                  bench->pixel_bytes);
	else
		bytes = ayre_worker_call(bench->workers[way], "bench_png_decode", bench->png,
		                         bench->png_bytes, bench->pixels, bench->pixel_bytes);
	return check_sum(bench, bench->pixels, bytes);
}

static int open_worker(struct png_bench *bench, enum png_way way)
{
	const struct ayre_worker_options options = {
		.size = sizeof(options),
		.flags = way < PNG_FRESH ? AYRE_WORKER_KEEP : 0,
		.spin_ns = way == PNG_SPINNING ? AYRE_SPIN_FOREVER : AYRE_SPIN_ADAPT,
		.spares = way == PNG_SPARE ? 1 : AYRE_WORKER_NONE,
	};

	if (way == PNG_DIRECT || bench->workers[way])
		return 0;
	return bench_worker_open(&options, bench->cpu, &bench->workers[way]);
}

static int measure(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct png_bench *bench = state;
	enum png_way way = (enum png_way)argument;
	int result;

	if (way == PNG_SPINNING && bench->cpu == bench->machine->cpu) {
		sample->left_out = "it needs two processors, and this process may use one";
		return BENCH_LEFT_OUT;
	}
	result = open_worker(bench, way);
	if (result == 0 && way == PNG_DIRECT)
		result = bench_topic_bind(bench->cpu);
	for (int i = 0; result == 0 && i < WARM_COUNT; i++)
		result = decode_once(bench, way);
	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < sample->operations; i++)
		result = decode_once(bench, way);
	bench_end(sample);
	if (way == PNG_DIRECT)
		bench_machine_bind(bench->machine);
	/* It would spin on while others are measured. */
	if (way == PNG_SPINNING) {
		ayre_worker_close(bench->workers[way]);
		bench->workers[way] = NULL;
	}
	return result;
}

/* --- rows --- */

static const struct bench_row rows[] = {
	{"direct", "the function, called in this process", BENCH_FLOOR, measure, PNG_DIRECT},
	{"ayre", "ayre: warm worker", BENCH_AYRE, measure, PNG_KEPT},
	{"spinning", "ayre: warm worker, both spinning", BENCH_AYRE, measure, PNG_SPINNING},
	{"in_place", "ayre: warm worker, read in place", BENCH_AYRE, measure, PNG_PLACED},
	{"fresh", "ayre: a fresh process for each", BENCH_AYRE, measure, PNG_FRESH},
	{"fresh_spare", "ayre: a fresh one, with a spare", BENCH_AYRE, measure, PNG_SPARE},
};

#define GROUP(side) \
	{ \
		.name = "png_" #side, .title = "a PNG image of " #side " by " #side " decoded", \
		.unit = BENCH_TIME, .rows = rows, .row_count = COUNT_OF(rows), .unfit = prepare \
	}

static const struct bench_group groups[] = {GROUP(16), GROUP(64), GROUP(256), GROUP(1024)};
static const uint32_t sides[] = {16, 64, 256, 1024};

int bench_worker_run_images(struct bench_report *report, struct worker_bench *bench)
{
	int far = bench_topic_far_cpu(bench->machine), result = EXIT_DONE;

	for (size_t i = 0; result == EXIT_DONE && i < COUNT_OF(groups); i++) {
		struct png_bench png = {
			.machine = bench->machine,
			.cpu = far < 0 ? bench->machine->cpu : far,
			.side = sides[i],
		};

		result = bench_run_group(report, &groups[i], &png, 0);
		for (int way = 0; way < PNG_COUNT; way++)
			ayre_worker_close(png.workers[way]);
		free(png.png);
		free(png.pixels);
	}
	return result;
}
