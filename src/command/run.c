/*
 * ayre run: a pipeline from the command line.
 *
 * Invariant: what can be wrong with the command line or with our own files is found before any
 * stage runs; and whatever happens after, the report is written.
 */
#include "command/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/command.h"
#include "command/output.h"

/* Generous: ends of pipes, what its end is waited for with. */
#define DESCRIPTORS_PER_STAGE 4
#define DESCRIPTORS_BESIDE    64

struct run_options {
	struct duration_option timeout, kill_after;
	struct size_option pipe_size;
	bool meter, strict;
	uint32_t report; /* enum run_report_format */
	const char *report_file;
	const char *input, *output, *append, *tee;
};

static const struct command_option run_table[] = {
	{"timeout", OPTION_DURATION, "DURATION", offsetof(struct run_options, timeout),
         "end all of it after so long: 250ms, 2s, 1m; exit 124 (never)"},
	{"kill-after", OPTION_DURATION, "DURATION", offsetof(struct run_options, kill_after),
         "how long after TERM comes KILL (1s)"},
	{"meter", OPTION_FLAG, NULL, offsetof(struct run_options, meter),
         "what each stage is doing, and which one holds the rest up"},
	{"report", OPTION_CHOICE, "text|json", offsetof(struct run_options, report),
         "how it went, to standard error"},
	{"report-file", OPTION_FILE, "FILE", offsetof(struct run_options, report_file),
         "the report goes there"},
	{"input", OPTION_FILE, "FILE", offsetof(struct run_options, input),
         "what the first stage reads"},
	{"output", OPTION_FILE, "FILE", offsetof(struct run_options, output),
         "where the last stage writes"},
	{"append", OPTION_FILE, "FILE", offsetof(struct run_options, append),
         "likewise, to the end of the file"},
	{"tee", OPTION_FILE, "FILE", offsetof(struct run_options, tee),
         "a copy of what the last stage writes"},
	{"pipe-size", OPTION_SIZE, "SIZE", offsetof(struct run_options, pipe_size),
         "wanted size of each pipe (256K)"},
	{"strict", OPTION_FLAG, NULL, offsetof(struct run_options, strict),
         "a stage that SIGPIPE ended has failed"},
};

/* One run of the command. */
struct run {
	const struct run_options *given;
	struct ayre_pipeline *pipeline;
	struct run_view view;
	struct run_meter meter;
	struct run_watch watch;
	struct run_report report;
	struct ayre_limit given_limit; /* of descriptors, for the stages */
	char error[640];               /* what the report says went wrong */
};

/* --- the command line --- */

static void choose_report(const struct run_options *given, struct run_report *report)
{
	report->fd = STDERR_FILENO;
	report->name = "standard error";
	report->format = given->report;
	if (report->format == RUN_REPORT_NONE && given->report_file)
		report->format = RUN_REPORT_TEXT;
}

static int check_options(const struct run_options *given, struct run_report *report)
{
	if (given->output && given->append)
		return output_usage("--output and --append exclude each other");
	if (given->timeout.given && given->timeout.ns == 0)
		return output_usage("--timeout: there has to be some time");
	if (given->pipe_size.given && given->pipe_size.bytes == 0)
		return output_usage("--pipe-size: a pipe has 1 byte or more");
	choose_report(given, report);
	return EXIT_DONE;
}

static bool is_separator(const char *word)
{
	return strcmp(word, "::") == 0 || strcmp(word, "|") == 0;
}

static int report_empty_stage(int number, const char *before, const char *after)
{
	if (!before)
		return output_usage("stage %d is empty: no command before the first '%s'", number,
		                    after);
	if (!after)
		return output_usage("stage %d is empty: no command after the last '%s'", number,
		                    before);
	return output_usage("stage %d is empty: no command between '%s' and '%s'", number, before,
	                    after);
}

/* Cuts the words at the separators, and gives each part to the pipeline. */
static int add_stages(struct ayre_pipeline *pipeline, int word_count, char **words)
{
	const char *before = NULL;
	int number = 1, begin = 0;

	for (int i = 0; i <= word_count; i++) {
		const char *separator = i < word_count ? words[i] : NULL;

		if (separator && !is_separator(separator))
			continue;
		if (i == begin)
			return report_empty_stage(number, before, separator);
		words[i] = NULL;
		/* An error is kept for ayre_pipeline_start(). */
		(void)ayre_pipeline_arguments(pipeline, (const char *const *)words + begin);
		before = separator;
		begin = i + 1;
		number++;
	}
	return EXIT_DONE;
}

/* --- files --- */

static int fail_ours(const char *name, int code)
{
	output_fail("%s: %s: nothing was run", name, strerror(code));
	return RUN_EXIT_OURS;
}

static int open_report(struct run *run)
{
	const char *path = run->given->report_file;

	if (!path)
		return EXIT_DONE;
	run->report.name = path;
	run->report.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	return run->report.fd < 0 ? fail_ours(path, errno) : EXIT_DONE;
}

static bool is_fifo(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISFIFO(status.st_mode);
}

/*
 * A named pipe is opened here, where a signal can still end the wait for its other end. Files are
 * left to the pipeline, which empties none before it knows that all can be started.
 */
static int redirect(struct run *run, int stage, int fd, enum ayre_redirect kind, const char *path)
{
	struct ayre_redirection redirection = {
		.size = sizeof(redirection),
		.stage = stage,
		.fd = fd,
		.kind = kind,
		.path = path,
	};

	if (!path)
		return EXIT_DONE;
	if (kind != AYRE_REDIRECT_TEE_WRITE && is_fifo(path)) {
		redirection.kind = AYRE_REDIRECT_FD;
		/* Closed by our end; the stages have copies. */
		redirection.host_fd = open(path, (fd == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
		if (redirection.host_fd < 0)
			return fail_ours(path, errno);
	}
	(void)ayre_pipeline_redirect(run->pipeline, &redirection);
	return EXIT_DONE;
}

static int redirect_all(struct run *run)
{
	const struct run_options *given = run->given;
	int last = ayre_pipeline_stage_count(run->pipeline) - 1;
	int result = redirect(run, 0, STDIN_FILENO, AYRE_REDIRECT_READ, given->input);

	if (result == EXIT_DONE)
		result = redirect(run, last, STDOUT_FILENO, AYRE_REDIRECT_WRITE, given->output);
	if (result == EXIT_DONE)
		result = redirect(run, last, STDOUT_FILENO, AYRE_REDIRECT_APPEND, given->append);
	if (result == EXIT_DONE)
		result = redirect(run, last, STDOUT_FILENO, AYRE_REDIRECT_TEE_WRITE, given->tee);
	return result;
}

/* --- the start --- */

/*
 * Whose parents are gone becomes our child, so that the end of the tree is the end of all of it.
 * A reader of ours that goes away, and a parent that takes no news of its children, must not matter.
 */
static int become_host(struct run *run)
{
	int result;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return fail_ours("subreaper", errno);
	result = run_watch_init(&run->watch);
	return result < 0 ? fail_ours("signalfd", -result) : EXIT_DONE;
}

/*
 * A stage takes descriptors of ours while it runs: for very many we need more than the usual
 * 1024. The stages keep the limit that we were given.
 */
static void make_room(struct run *run)
{
	int count = ayre_pipeline_stage_count(run->pipeline);
	struct ayre_process_options options = {
		.size = sizeof(options),
		.limits = &run->given_limit,
		.limit_count = 1,
	};
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur >= (rlim_t)count * DESCRIPTORS_PER_STAGE + DESCRIPTORS_BESIDE)
		return;
	run->given_limit = (struct ayre_limit){RLIMIT_NOFILE, limit.rlim_cur, limit.rlim_max};
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	for (int i = 0; i < count; i++)
		(void)ayre_pipeline_stage_options(run->pipeline, i, &options);
}

static void set_options(struct run *run)
{
	const struct run_options *given = run->given;
	int64_t now_ns = run_now_ns();
	struct ayre_pipeline_options options = {
		.size = sizeof(options),
		.pipe_bytes = given->pipe_size.bytes,
		/* 0 would be the default. */
		.grace_ns = given->kill_after.given && given->kill_after.ns == 0
	                            ? 1
	                            : given->kill_after.ns,
		.flags = AYRE_PIPELINE_SAME_GROUP | AYRE_PIPELINE_END_ORPHANS |
	                 AYRE_PIPELINE_DIE_WITH_PARENT | (given->strict ? AYRE_PIPELINE_STRICT : 0),
	};

	if (given->timeout.given)
		options.deadline_ns = given->timeout.ns > INT64_MAX - now_ns
		                              ? INT64_MAX
		                              : now_ns + given->timeout.ns;
	/* An error is kept for ayre_pipeline_start(). */
	(void)ayre_pipeline_set_options(run->pipeline, &options);
}

/* The shell's way: 127 what is not there, 126 what is there and is no program. */
static int start_exit_code(const struct ayre_error *error)
{
	if (strcmp(error->step, "find") != 0 && strcmp(error->step, "execute") != 0 &&
	    strcmp(error->step, "arguments") != 0)
		return RUN_EXIT_OURS;
	switch (-error->code) {
	case ENOENT:
		return RUN_EXIT_NOT_FOUND;
	case EAGAIN:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case EIO:
		return RUN_EXIT_OURS;
	default:
		return RUN_EXIT_NOT_EXECUTABLE;
	}
}

static int report_start(struct run *run, const struct ayre_error *error)
{
	/* The kernel takes a last look at a program when those before it are already let go. */
	bool others_ran = strcmp(error->step, "execute") == 0 && run->view.stage_count > 1;

	ayre_error_text(error, run->error, sizeof(run->error));
	output_fail("%s: %s", run->error,
	            others_ran ? "the other stages were ended" : "nothing was run");
	return start_exit_code(error);
}

/* --- the end --- */

static int report_result(struct run *run, const struct ayre_pipeline_result *result)
{
	char span[24];

	switch (-result->error) {
	case 0:
	case ECANCELED:
		break;
	case ETIMEDOUT:
		snprintf(run->error, sizeof(run->error), "not done after %s: all of it was ended",
		         run_format_span(run->given->timeout.ns, span));
		output_note("%s", run->error);
		return EXIT_DEADLINE;
	case EPIPE:
		/* Nobody reads our output any more. */
		return RUN_EXIT_SIGNAL + SIGPIPE;
	default:
		snprintf(run->error, sizeof(run->error), "%s: %s",
		         run->given->tee ? run->given->tee : "pipeline", strerror(-result->error));
		output_note("%s", run->error);
		return RUN_EXIT_OURS;
	}
	return result->exit_status;
}

static int finish(struct run *run, int exit_code, int strays_ended)
{
	int result = EXIT_DONE;

	if (run->report.format != RUN_REPORT_NONE) {
		run->report.view = &run->view;
		run->report.exit_status = exit_code;
		run->report.strays_ended = strays_ended;
		run->report.error = run->error[0] ? run->error : NULL;
		result = run_report_write(&run->report);
	}
	/* Where a disk is full some file systems say so only now. */
	if (run->report.fd > STDERR_FILENO && close(run->report.fd) < 0 && result == EXIT_DONE) {
		output_fail("%s: %s", run->report.name, strerror(errno));
		result = RUN_EXIT_OURS;
	}
	return result == EXIT_DONE ? exit_code : result;
}

static int fail_start(struct run *run, const struct ayre_error *error)
{
	int exit_code = report_start(run, error);

	run_view_finish(&run->view, run->pipeline, 0, false);
	return finish(run, exit_code, 0);
}

/* It has ended, or cannot be driven any more. */
static int end(struct run *run, int watched)
{
	struct ayre_pipeline_result result = {.size = sizeof(result)};
	int exit_code;

	if (watched == 0)
		watched = ayre_pipeline_get_result(run->pipeline, &result);
	if (watched < 0) {
		output_fail("%s", strerror(-watched));
		return RUN_EXIT_OURS;
	}
	run_view_finish(&run->view, run->pipeline, result.wall_ns, true);
	if (run->given->meter)
		run_meter_end(&run->meter, &run->view);
	exit_code = report_result(run, &result);
	if (run->watch.ended_by)
		exit_code = RUN_EXIT_SIGNAL + run->watch.ended_by;
	return finish(run, exit_code, result.strays_ended);
}

static int run_started(struct run *run)
{
	struct ayre_error error = {0};
	int result;

	set_options(run);
	make_room(run);
	run->watch.started_ns = run_now_ns();
	result = ayre_pipeline_start(run->pipeline, &error);
	if (!run_view_init(&run->view, run->pipeline)) {
		output_fail("%s", strerror(ENOMEM));
		return RUN_EXIT_OURS;
	}
	if (result < 0)
		return fail_start(run, &error);
	run_meter_init(&run->meter);
	run->watch.pipeline = run->pipeline;
	run->watch.view = &run->view;
	run->watch.meter = run->given->meter ? &run->meter : NULL;
	run->watch.sampling = run->given->meter || run->report.format != RUN_REPORT_NONE;
	return end(run, run_watch(&run->watch));
}

static int run_pipeline(struct run *run, int word_count, char **words)
{
	int result = add_stages(run->pipeline, word_count, words);

	if (result == EXIT_DONE)
		result = open_report(run);
	if (result == EXIT_DONE)
		result = redirect_all(run);
	if (result == EXIT_DONE)
		result = become_host(run);
	if (result == EXIT_DONE)
		result = run_started(run);
	return result;
}

static int run_run(void *values, int operand_count, char **operands)
{
	struct run run = {.given = values};
	int result = check_options(run.given, &run.report);

	if (result != EXIT_DONE)
		return result;
	if (operand_count == 0)
		return output_usage("no command; such as: ayre run ls :: wc -l");
	run.pipeline = ayre_pipeline_new();
	if (!run.pipeline)
		return fail_ours("memory", ENOMEM);
	result = run_pipeline(&run, operand_count, operands);
	run_meter_fini(&run.meter);
	run_view_fini(&run.view);
	free(run.watch.pids);
	/* Whatever may still run ends here. */
	ayre_pipeline_free(run.pipeline);
	if (run.watch.ended_by)
		run_die_by(run.watch.ended_by);
	return result;
}

const struct command run_command = {
	.verb = "run",
	.summary = "Join programs by pipes, and tell how it went",
	.synopsis = "[OPTION]... [--] COMMAND [ARGUMENT]... [:: COMMAND [ARGUMENT]...]...",
	.examples = "  ayre run ls :: wc -l\n"
		    "  ayre run --meter --output big.gz cat big :: gzip\n"
		    "  ayre run --timeout 10s --report json make -C project :: tail -5\n",
	.options = run_table,
	.option_count = COUNT_OF(run_table),
	.most_operands = -1,
	.operands_end_options = true,
	.operand_kinds = {OPERAND_PIPELINE, OPERAND_PIPELINE},
	.run = run_run,
	.values_bytes = sizeof(struct run_options),
};
