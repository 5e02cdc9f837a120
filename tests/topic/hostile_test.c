/*
 * Hostile peers in a topic: while they do what they can, the honest talk on.
 *
 *   hostile_test [SECONDS [PATTERN]]   seconds for each scene; and which scenes
 */
#include "topic/hostile_ends.h"
#include "topic/hostile_world.h"

const char *__ubsan_default_options(void);

/* Undefined behaviour ends the process: what goes on after it is not looked at. */
__attribute__((visibility("default"))) const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:print_stacktrace=1";
}

static const struct scene scenes[] = {
	{
		.title = "hostile publishers",
		.hostile = publish_hostilely,
		.hostile_count = 2,
		.guarded = true,
		.life_ns = 400 * MILLISECOND,
		.pause_ns = 20 * MILLISECOND,
		.send_pause_ns = MILLISECOND / 10,
	},
	{
		.title = "hostile publishers, without the guard",
		.hostile = publish_hostilely,
		.hostile_count = 2,
		.life_ns = 400 * MILLISECOND,
		.pause_ns = 20 * MILLISECOND,
		.send_pause_ns = MILLISECOND / 10,
	},
	/* The honest say little, so that the processors are those of who shows and who sees. */
	{
		.title = "hostile publishers with two faces",
		.hostile = publish_with_two_faces,
		.hostile_count = 1,
		.life_ns = 400 * MILLISECOND,
		.pause_ns = 20 * MILLISECOND,
		.send_pause_ns = 5 * MILLISECOND,
	},
	{
		.title = "a hostile subscriber",
		.hostile = subscribe_hostilely,
		.hostile_count = 1,
		.guarded = true,
		.life_ns = 600 * MILLISECOND,
		.pause_ns = 50 * MILLISECOND,
		.send_pause_ns = MILLISECOND / 10,
	},
	{
		.title = "a hostile subscriber, without the guard",
		.hostile = subscribe_hostilely,
		.hostile_count = 1,
		.life_ns = 600 * MILLISECOND,
		.pause_ns = 50 * MILLISECOND,
		.send_pause_ns = MILLISECOND / 10,
	},
};

static void hold_out(void **state)
{
	const struct scene *scene = *state;
	int64_t end_ns = now_ns() + scene_seconds() * SECOND;

	set_deadline(2 * scene_seconds() + 120);
	/* No longer than this each: what subscribers know of lanes grows with those that they have seen. */
	while (now_ns() < end_ns) {
		int64_t left_ns = end_ns - now_ns();

		play(scene, scene_seed(scene->title),
		     left_ns < 30 * SECOND ? left_ns : 30 * SECOND);
	}
}

#define scene_test(index) test_of(hold_out, scenes[index].title, &scenes[index])

static const char *const pair_titles[PAIR_WAYS] = {
	"a publisher and who took its pair", "a subscriber and who took its pair",
	"a publisher and who made its pair", "a subscriber and who made its pair"};

static void hold_out_in_pairs(void **state)
{
	const char *const *title = *state;

	set_deadline(2 * scene_seconds() + 120);
	play_alone(*title, pair_honestly, (void *)(title - pair_titles), scene_seed(*title),
	           scene_seconds() * SECOND / 2);
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		scene_test(0),
		scene_test(1),
		scene_test(2),
		scene_test(3),
		scene_test(4),
		test_of(hold_out_in_pairs, pair_titles[0], &pair_titles[0]),
		test_of(hold_out_in_pairs, pair_titles[1], &pair_titles[1]),
		test_of(hold_out_in_pairs, pair_titles[2], &pair_titles[2]),
		test_of(hold_out_in_pairs, pair_titles[3], &pair_titles[3]),
	};

	use_topic_root();
	wanted_seconds = count > 1 ? (unsigned int)strtoul(arguments[1], NULL, 10) : 0;
	if (count > 2)
		cmocka_set_test_filter(arguments[2]);
	return run_counted("hostile", tests);
}
