/*
 * The guard against files that are cut short while they are mapped. Every test runs in a child,
 * since a signal handler is the whole process's; cmocka has its own for SIGBUS.
 */
#include "memory/guard_world.h"

#include <ayre/guard.h>

static int lose_pages_under_guard(void *context)
{
	struct ayre_segment *early = open_numbered(0, 0), *late;
	char *data = ayre_segment_data(early);

	(void)context;
	require(ayre_guard_install() == 1);
	require(ayre_guard_install() == 0);
	late = open_numbered(1, 0);
	cut_numbered(0);
	require(touch(data, 0) == 'a');
	require(touch(data, 1) == 0 && touch(data, PAGES - 1) == 0);
	require(is_zero(data + page_bytes(), page_bytes()));
	/* A store does no harm either, and stays here. */
	data[2 * page_bytes()] = 'x';
	require(touch(data, 2) == 'x');
	require(ayre_segment_check(early) == -ESTALE);
	require(ayre_segment_check(late) == 0);
	cut_numbered(1);
	require(touch(ayre_segment_data(late), 1) == 0);
	require(ayre_segment_check(late) == -ESTALE);
	remove_numbered(0, early);
	remove_numbered(1, late);
	require(ayre_guard_remove() == 0);
	require(ayre_guard_remove() == -ENOENT);
	return 0;
}

static void lost_pages_are_zeros_and_stale(void **state)
{
	(void)state;
	assert_exited(run_in_child(lose_pages_under_guard, NULL));
}

static int regain_pages_under_guard(void *context)
{
	struct ayre_segment *segment = open_numbered(0, 0);
	char path[NAME_BYTES];

	(void)context;
	require(ayre_guard_install() == 1);
	cut_numbered(0);
	require(touch(ayre_segment_data(segment), 1) == 0);
	/* The file has its size again: some bytes were gone for a while, and that stays known. */
	require(truncate(make_path(path, AYRE_BACKING_FILE, 0), (off_t)(PAGES * page_bytes())) ==
	        0);
	require(ayre_segment_check(segment) == -ESTALE);
	ayre_segment_close(segment);
	require(ayre_segment_open(NULL, path, &segment, NULL) == 0);
	require(ayre_segment_check(segment) == 0);
	remove_numbered(0, segment);
	return 0;
}

static void a_loss_is_remembered(void **state)
{
	(void)state;
	assert_exited(run_in_child(regain_pages_under_guard, NULL));
}

static int lose_pages_of_special_maps(void *context)
{
	struct ayre_segment *reader = open_numbered(0, AYRE_SEGMENT_READ_ONLY);
	struct ayre_segment *mirror = open_numbered(1, AYRE_SEGMENT_MIRRORED);
	struct ayre_segment *grown = open_numbered(2, 0);

	(void)context;
	require(ayre_segment_resize(grown, 100 * PAGES * page_bytes(), NULL) >= 0);
	require(ayre_guard_install() == 1);
	cut_numbered(0);
	require(touch(ayre_segment_data(reader), 1) == 0);
	require(ayre_segment_check(reader) == -ESTALE);
	cut_numbered(1);
	require(touch(ayre_segment_data(mirror), PAGES) == 'a');
	require(touch(ayre_segment_data(mirror), PAGES + 1) == 0);
	require(ayre_segment_check(mirror) == -ESTALE);
	/* Also behind what was mapped when it was opened. */
	cut_numbered(2);
	require(touch(ayre_segment_data(grown), 99 * PAGES) == 0);
	remove_numbered(0, reader);
	remove_numbered(1, mirror);
	remove_numbered(2, grown);
	return 0;
}

static void every_map_is_guarded(void **state)
{
	(void)state;
	assert_exited(run_in_child(lose_pages_of_special_maps, NULL));
}

static int read_without_guard(void *context)
{
	struct ayre_segment *segment = open_numbered(0, 0);
	char byte = 'b';

	(void)context;
	cut_numbered(0);
	require(ayre_segment_read(segment, page_bytes(), &byte, 1) == -ESTALE);
	require(ayre_segment_read(segment, 0, &byte, 1) == 0 && byte == 'a');
	require(ayre_segment_check(segment) == -ESTALE);
	touch(ayre_segment_data(segment), 1);
	return 0;
}

static void without_the_guard_a_pointer_kills(void **state)
{
	int status = run_in_child(read_without_guard, NULL);

	(void)state;
	assert_killed_by(status, SIGBUS);
	sweep();
}

static int fault_elsewhere(void *context)
{
	bool with_address = *(bool *)context;
	struct sigaction now;
	char *trap = map_trap(NULL, 0);

	install_host_handler(with_address);
	require(ayre_guard_install() == 1);
	for (int i = 1; i <= 3; i++) {
		require(is_host_told(trap));
		require(faults == i);
		require(!with_address || fault_address == trap);
	}
	/* One that was only sent, too. */
	require(kill(getpid(), SIGBUS) == 0);
	require(faults == 4);
	/* And the handler comes back as it was. */
	require(ayre_guard_remove() == 0);
	require(sigaction(SIGBUS, NULL, &now) == 0);
	require(now.sa_flags & SA_NODEFER);
	require(with_address ? now.sa_sigaction == escape_with_address
	                     : now.sa_handler == escape_plainly);
	return 0;
}

static void other_faults_reach_the_handler_before(void **state)
{
	bool with_address = false;

	(void)state;
	assert_exited(run_in_child(fault_elsewhere, &with_address));
	with_address = true;
	assert_exited(run_in_child(fault_elsewhere, &with_address));
}

static int fault_by_default(void *context)
{
	(void)context;
	require(ayre_guard_install() == 1);
	touch(map_trap(NULL, 0), 0);
	return 0;
}

static int be_sent_a_fault_by_default(void *context)
{
	(void)context;
	require(ayre_guard_install() == 1);
	raise(SIGBUS);
	return 0;
}

static void the_default_action_still_kills(void **state)
{
	int status = run_in_child(fault_by_default, NULL);

	(void)state;
	assert_killed_by(status, SIGBUS);
	status = run_in_child(be_sent_a_fault_by_default, NULL);
	assert_killed_by(status, SIGBUS);
}

static int ignore_what_is_sent(void *context)
{
	struct sigaction now;

	(void)context;
	signal(SIGBUS, SIG_IGN);
	require(ayre_guard_install() == 1);
	require(kill(getpid(), SIGBUS) == 0);
	require(kill(getpid(), SIGBUS) == 0);
	require(ayre_guard_remove() == 0);
	require(sigaction(SIGBUS, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
	return 0;
}

static void ignored_signals_stay_ignored(void **state)
{
	(void)state;
	assert_exited(run_in_child(ignore_what_is_sent, NULL));
}

static int remove_from_below(void *context)
{
	struct sigaction now;

	(void)context;
	require(ayre_guard_remove() == -ENOENT);
	require(ayre_guard_install() == 1);
	install_host_handler(true);
	require(ayre_guard_remove() == -EBUSY);
	require(ayre_guard_install() == -EBUSY);
	require(sigaction(SIGBUS, NULL, &now) == 0 && now.sa_sigaction == escape_with_address);
	return 0;
}

static void a_handler_on_top_stays(void **state)
{
	(void)state;
	assert_exited(run_in_child(remove_from_below, NULL));
}

static struct sigaction guarding;

/* A host that comes later and leaves to the guard what is not its own. */
static void chain(int number, siginfo_t *info, void *context)
{
	faults++;
	guarding.sa_sigaction(number, info, context);
}

static int lose_pages_under_a_chain(void *context)
{
	struct ayre_segment *segment = open_numbered(0, 0);
	struct sigaction action = {.sa_sigaction = chain, .sa_flags = SA_SIGINFO};

	(void)context;
	require(ayre_guard_install() == 1);
	require(sigaction(SIGBUS, &action, &guarding) == 0);
	cut_numbered(0);
	require(touch(ayre_segment_data(segment), 1) == 0);
	require(faults == 1);
	require(ayre_segment_check(segment) == -ESTALE);
	remove_numbered(0, segment);
	/* Put back, the guard is on top again. */
	require(sigaction(SIGBUS, &guarding, NULL) == 0);
	require(ayre_guard_install() == 0);
	require(ayre_guard_remove() == 0);
	return 0;
}

static void a_handler_on_top_may_chain(void **state)
{
	(void)state;
	assert_exited(run_in_child(lose_pages_under_a_chain, NULL));
}

static int reuse_addresses(void *context)
{
	struct ayre_segment *segment = open_numbered(0, 0);
	char *data = ayre_segment_data(segment);

	(void)context;
	install_host_handler(true);
	require(ayre_guard_install() == 1);
	/* Where it was before it moved, and where it was before it was closed. */
	require(mmap(data + PAGES * page_bytes(), page_bytes(), PROT_NONE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED ||
	        errno == EEXIST);
	require(ayre_segment_resize(segment, 1000 * PAGES * page_bytes(), NULL) == 1);
	require(is_host_told(map_trap(data, MAP_FIXED_NOREPLACE)));
	data = ayre_segment_data(segment);
	remove_numbered(0, segment);
	require(is_host_told(map_trap(data, MAP_FIXED_NOREPLACE)));
	return 0;
}

static void addresses_that_were_a_segments_are_the_hosts(void **state)
{
	(void)state;
	assert_exited(run_in_child(reuse_addresses, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(lost_pages_are_zeros_and_stale),
		counted_test(a_loss_is_remembered),
		counted_test(every_map_is_guarded),
		counted_test(without_the_guard_a_pointer_kills),
		counted_test(other_faults_reach_the_handler_before),
		counted_test(the_default_action_still_kills),
		counted_test(ignored_signals_stay_ignored),
		counted_test(a_handler_on_top_stays),
		counted_test(a_handler_on_top_may_chain),
		counted_test(addresses_that_were_a_segments_are_the_hosts),
	};

	return run_counted("guard", tests);
}
