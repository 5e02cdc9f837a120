/*
 * A hostile subscriber: it makes a cursor, lets publishers find it, and then does to it whatever its
 * owner can.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "topic/hostile_ends.h"
#include "topic/hostile_forge.h"

#define FLAPS 3000
#define ENTRIES \
	(sizeof(((struct ayrei_cursor_layout *)0)->entries) / sizeof(struct ayrei_cursor_entry))

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static struct ayrei_cursor_entry *entry_at(struct forged *cursor, unsigned int index)
{
	return cursor->cursor->entries + index;
}

/* --- in memory --- */

/* An honest one's, or the one of a pair. */
static uint64_t some_lane(const struct forged *cursor)
{
	return cursor->fd < 0 ? 1 : some_peer("pub.");
}

/* About an honest lane: somewhere, or nowhere. */
static void enter_lane(struct forged *cursor)
{
	unsigned int index = random_below(4);

	store(&entry_at(cursor, index)->position, aimed_value((uint64_t)random_below(100) * 4096));
	store(&entry_at(cursor, index)->lane, some_lane(cursor));
	store(&cursor->cursor->entry_count, index + 1);
}

static void move_about(struct forged *cursor)
{
	unsigned int index = random_below(4);
	uint64_t position = entry_at(cursor, index)->position;

	for (unsigned int i = 0; i < FLAPS; i++) {
		position =
			random_below(4) ? position + random_below(64) * 8 : aimed_value(position);
		store(&entry_at(cursor, index)->position, position);
	}
}

static void count_wrong(struct forged *cursor)
{
	for (unsigned int i = random_below(20); i > 0; i--) {
		store(&cursor->cursor->entry_count, aimed_value(ENTRIES));
		pause_ns(20000);
	}
}

static void duplicate(struct forged *cursor)
{
	uint64_t lane = some_lane(cursor);

	for (unsigned int i = 0; i < ENTRIES; i++) {
		store(&entry_at(cursor, i)->position, aimed_value(ARENA_RING));
		store(&entry_at(cursor, i)->lane, lane);
	}
	store(&cursor->cursor->entry_count, ENTRIES);
}

static void flap_ticket(struct forged *cursor)
{
	for (uint64_t i = 0; i < 20 * FLAPS; i++)
		store(ayrei_cursor_ticket(cursor->cursor, cursor->cursor->id), i);
}

static void spoil_page(struct forged *cursor)
{
	uint64_t *words = cursor->base;

	for (unsigned int i = random_below(30); i > 0; i--)
		store(&words[random_below(2) ? random_below(48) : random_below(512)],
		      aimed_value(ENTRIES));
}

/* --- files --- */

/* As an honest one does it, but for how much there is then. */
static void grow(struct forged *cursor)
{
	static const off_t sizes[] = {4097, 8192, 65536, (off_t)1 << 30, (off_t)1 << 50};
	off_t bytes = sizes[random_below(5)];
	struct stat status;

	if (fstat(cursor->fd, &status) == 0 && (bytes > status.st_size || arena->guarded))
		(void)!ftruncate(cursor->fd, bytes);
	store(&cursor->cursor->entry_count, aimed_value(random_below(4) ? 2048 : 1u << 20));
	pause_ns(2000000);
}

static void cut_short(struct forged *cursor)
{
	static const off_t sizes[] = {0, 1, 255, 256, 4095, 4096, 8192};

	if (!arena->guarded)
		return;
	for (unsigned int i = random_below(20); i > 0; i--)
		(void)!ftruncate(cursor->fd, sizes[random_below(7)]);
	if (random_below(2))
		(void)!ftruncate(cursor->fd, 4096);
}

static void change_bell(struct forged *cursor)
{
	char path[NAME_BYTES];

	topic_path(ARENA, cursor->bell_file, path);
	if (random_below(2) && unlink(path) == -1)
		rmdir(path);
	if (random_below(2) && cursor->bell >= 0) {
		close(cursor->bell);
		cursor->bell = -1;
	}
	switch (random_below(5)) {
	case 0:
		(void)!symlink("/dev/null", path);
		break;
	case 1:
		close(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
		break;
	case 2:
		(void)!mkfifo(path, 0622);
		break;
	default:
		break;
	}
}

static void change_lock(struct forged *cursor)
{
	for (unsigned int i = random_below(10); i > 0; i--) {
		lock_forged(cursor, random_below(2));
		if (random_below(2))
			change_join(1);
	}
}

static void change_name(struct forged *cursor)
{
	char from[NAME_BYTES], to[NAME_BYTES];

	topic_path(ARENA, cursor->file, from);
	snprintf(cursor->file, sizeof(cursor->file), "sub.%016lx", random_word() | 1);
	topic_path(ARENA, cursor->file, to);
	(void)!(random_below(2) ? rename(from, to) : link(from, to));
}

static void flood_join(struct forged *cursor)
{
	(void)cursor;
	change_join(2000);
}

static void flood_bells(struct forged *cursor)
{
	(void)cursor;
	ring_bells("pub.", random_below(2) ? AYREI_BELL_JOIN : AYREI_BELL_MESSAGE,
	           random_below(8) ? 64 : 100000);
}

static void put_names(struct forged *cursor)
{
	(void)cursor;
	put_odd_names("sub.");
}

static void do_nothing(struct forged *cursor)
{
	(void)cursor;
	pause_ns((random_below(2) ? 20 : 700) * MILLISECOND);
}

static void (*const memory_acts[])(struct forged *) = {enter_lane, move_about,  count_wrong,
                                                       duplicate,  flap_ticket, spoil_page};
static void (*const file_acts[])(struct forged *) = {grow,        cut_short,   change_bell,
                                                     change_lock, change_name, flood_join,
                                                     flood_bells, put_names,   do_nothing};

void spoil_cursor_memory(struct forged *cursor)
{
	memory_acts[random_below(sizeof(memory_acts) / sizeof(*memory_acts))](cursor);
}

static void do_something(struct forged *cursor)
{
	if (random_below(2))
		spoil_cursor_memory(cursor);
	else
		file_acts[random_below(sizeof(file_acts) / sizeof(*file_acts))](cursor);
}

static void live(const char *generation)
{
	struct forged cursor;

	forge_cursor(&cursor, generation);
	if (random_below(2))
		enter_lane(&cursor);
	change_join(1);
	ring_bells("pub.", AYREI_BELL_JOIN, 1);
	for (unsigned int i = random_below(12); i > 0; i--) {
		do_something(&cursor);
		if (random_below(2))
			change_join(1);
		pause_ns(random_below(300) * 1000);
	}
	drop_forged(&cursor, random_below(4));
}

int subscribe_hostilely(void *context)
{
	(void)context;
	return live_and_die(live);
}
