/*
 * Driving a pipeline: its events, the signals that come in between, the samples, the frames.
 *
 * Invariant: once the stages run, no signal that can be caught ends us before they have ended.
 */
#include "command/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME_NS        (100 * NS_PER_MS)
#define SAMPLE_FIRST_NS (50 * NS_PER_MS) /* in the first second */
#define SAMPLE_NS       (100 * NS_PER_MS)
/* No more than a twentieth of a processor for looking, however many stages there are. */
#define SAMPLE_PRICE 20
#define FRAME_PRICE  5
/* For stages that the terminal has interrupted as well. */
#define PATIENCE_NS (2 * NS_PER_S)

static bool is_ignored(int signal_number)
{
	struct sigaction action;

	return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int run_watch_init(struct run_watch *watch)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	/* What nohup(1) and the like have switched off stays off: held back it would come again. */
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!is_ignored(signals[i]))
			sigaddset(&set, signals[i]);
	watch->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (watch->signal_fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return 0;
}

void run_die_by(int signal_number)
{
	struct rlimit none = {0};
	sigset_t set;

	/* The core of a stage is of use, ours is not. */
	setrlimit(RLIMIT_CORE, &none);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
	sigemptyset(&set);
	sigaddset(&set, signal_number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/*
 * Ctrl-C reaches the stages too, since they are in our process group: they get time to end as they
 * see fit. What a process sent us reached only us.
 */
static void take_signal(struct run_watch *watch, const struct signalfd_siginfo *info)
{
	int number = (int)info->ssi_signo;
	bool typed = info->ssi_code == SI_KERNEL && (number == SIGINT || number == SIGQUIT);

	if (typed && watch->ended_by == 0) {
		watch->cancel_ns = run_now_ns() + PATIENCE_NS;
	} else {
		ayre_pipeline_cancel(watch->pipeline);
		watch->cancel_ns = INT64_MAX;
	}
	if (watch->ended_by == 0)
		watch->ended_by = number;
}

static void take_signals(struct run_watch *watch)
{
	struct signalfd_siginfo info;

	while (read(watch->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			take_signal(watch, &info);
}

static void list_pids(struct run_watch *watch)
{
	watch->pids = calloc((size_t)watch->view->stage_count, sizeof(*watch->pids));
	for (int i = 0; watch->pids && i < watch->view->stage_count; i++) {
		struct ayre_stage_info info = {.size = sizeof(info)};

		if (ayre_pipeline_stage(watch->pipeline, i, &info) == 0)
			watch->pids[i] = info.pid;
	}
}

/* Most pipelines leave no orphans: the list is made for the first who may be one. */
static bool is_stage(struct run_watch *watch, pid_t pid)
{
	if (!watch->pids)
		list_pids(watch);
	for (int i = 0; watch->pids && i < watch->view->stage_count; i++)
		if (watch->pids[i] == pid)
			return true;
	return !watch->pids;
}

/*
 * Orphans of the tree are our children now, and nobody else takes the news of their end. A stage's
 * is the pipeline's to take: what stands behind it is seen when that is done.
 */
static void reap_orphans(struct run_watch *watch)
{
	siginfo_t info = {0};

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0 &&
	       !is_stage(watch, info.si_pid))
		waitpid(info.si_pid, NULL, 0);
}

/* At once, then at 1, 2, 4, 8 ms and so on, so that short pipelines are seen as well. */
static void sample(struct run_watch *watch, int64_t now_ns)
{
	int64_t age_ns = now_ns - watch->started_ns, cost_ns, step_ns = age_ns;
	int64_t longest_ns = age_ns < NS_PER_S ? SAMPLE_FIRST_NS : SAMPLE_NS;

	ayre_pipeline_sample(watch->pipeline);
	cost_ns = run_now_ns() - now_ns;
	if (step_ns < NS_PER_MS)
		step_ns = NS_PER_MS;
	if (step_ns > longest_ns)
		step_ns = longest_ns;
	if (step_ns < cost_ns * SAMPLE_PRICE)
		step_ns = cost_ns * SAMPLE_PRICE;
	watch->sample_ns = now_ns + step_ns;
}

static void draw(struct run_watch *watch, int64_t now_ns)
{
	int64_t cost_ns;

	run_view_take(watch->view, watch->pipeline, watch->started_ns, now_ns);
	run_meter_show(watch->meter, watch->view);
	cost_ns = run_now_ns() - now_ns;
	cost_ns *= FRAME_PRICE;
	watch->frame_ns = now_ns + (cost_ns > FRAME_NS ? cost_ns : FRAME_NS);
}

static int64_t earliest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int wait_for_something(struct run_watch *watch)
{
	struct pollfd fds[] = {
		{.fd = ayre_pipeline_fd(watch->pipeline), .events = POLLIN},
		{.fd = watch->signal_fd, .events = POLLIN},
	};
	int64_t until_ns = earliest(watch->cancel_ns, earliest(watch->sample_ns, watch->frame_ns));
	int64_t left_ns = until_ns - run_now_ns();
	struct timespec left = {.tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S};

	if (left_ns < 0)
		left = (struct timespec){0};
	if (ppoll(fds, 2, until_ns == INT64_MAX ? NULL : &left, NULL) < 0 && errno != EINTR)
		return -errno;
	if (fds[1].revents)
		take_signals(watch);
	return 0;
}

int run_watch(struct run_watch *watch)
{
	int result;

	watch->cancel_ns = INT64_MAX;
	watch->sample_ns = watch->sampling ? watch->started_ns : INT64_MAX;
	/* The first frame has something to show. */
	watch->frame_ns =
		watch->meter && watch->meter->live ? watch->started_ns + FRAME_NS : INT64_MAX;
	while ((result = ayre_pipeline_process(watch->pipeline)) == 0) {
		int64_t now_ns = run_now_ns();

		reap_orphans(watch);
		if (now_ns >= watch->sample_ns)
			sample(watch, now_ns);
		if (now_ns >= watch->frame_ns)
			draw(watch, now_ns);
		if (now_ns >= watch->cancel_ns) {
			ayre_pipeline_cancel(watch->pipeline);
			watch->cancel_ns = INT64_MAX;
		}
		result = wait_for_something(watch);
		if (result < 0)
			return result;
	}
	/* One that came while it was ending. */
	take_signals(watch);
	return result < 0 ? result : 0;
}
