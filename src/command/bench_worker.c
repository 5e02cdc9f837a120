/*
 * ayre bench worker: calls of code that is not trusted, beside the same calls without a jail, and jails
 * beside those of others. Here: the order of the groups.
 *
 * Invariant: a worker lives for one group at the most, and ends with this process, however that ends.
 */
#include "command/bench_worker.h"

#include <stdio.h>
#include <unistd.h>

#include "command/command.h"

/* As for topics: short samples, and more of them. */
#define FULL_ROUNDS    31
#define FULL_LEAST_NS  8000000
#define QUICK_ROUNDS   5
#define QUICK_LEAST_NS 2000000

#define FULL_HOST  ((uint64_t)1 << 30)
#define QUICK_HOST ((uint64_t)1 << 26)

static void tell_circumstances(struct bench_report *report, const struct worker_bench *bench)
{
	int far = bench_topic_far_cpu(bench->machine), length;

	length = snprintf(report->note, sizeof(report->note),
	                  "as user %u; processes are started wherever they are put, called ",
	                  geteuid());
	if (far < 0)
		snprintf(report->note + length, sizeof(report->note) - (size_t)length,
		         "on processor %d", bench->machine->cpu);
	else
		snprintf(report->note + length, sizeof(report->note) - (size_t)length,
		         "between %d and %d; of %llu samples %llu were taken again, %llu stayed "
		         "disturbed",
		         bench->machine->cpu, far, (unsigned long long)bench->quiet.samples,
		         (unsigned long long)bench->quiet.repeated,
		         (unsigned long long)bench->quiet.interrupted);
}

int bench_worker_run(struct bench_report *report, const struct bench_machine *machine)
{
	static int (*const parts[])(struct bench_report *, struct worker_bench *) = {
		bench_worker_run_fresh,  bench_worker_run_host,   bench_worker_run_calls,
		bench_worker_run_images, bench_worker_run_deaths,
	};
	bool quick = report->settings.quick;
	struct worker_bench bench = {
		.machine = machine,
		.host_bytes = quick ? QUICK_HOST : FULL_HOST,
	};
	int result = EXIT_DONE;

	bench_set_rounds(&report->settings, quick ? QUICK_ROUNDS : FULL_ROUNDS);
	report->settings.least_ns = quick ? QUICK_LEAST_NS : FULL_LEAST_NS;
	for (size_t i = 0; result == EXIT_DONE && i < COUNT_OF(parts); i++)
		result = parts[i](report, &bench);
	tell_circumstances(report, &bench);
	return result;
}
