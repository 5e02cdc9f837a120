/*
 * The subscribers of a topic as one of its publishers knows them.
 *
 * Invariant: what a subscriber writes moves its own floor and nothing else. A position that goes
 * backwards, or lies outside the ring, is not taken; one that says nothing for ever is waited for, as it
 * would be if it read nothing, until the kernel says that it is dead.
 */
#include "topic/member.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "sys/event.h"
#include "sys/file.h"
#include "topic/bell.h"

static const struct ayrei_cursor_layout *layout_of(const struct ayrei_member *member)
{
	return member->page.base;
}

static const uint64_t *ticket_of(const struct ayrei_member *member)
{
	return ayrei_cursor_ticket(member->page.base, member->id);
}

/* Room for half a million lanes. A file can say that it has any size. */
#define MOST_BYTES ((size_t)16 << 20)

static size_t believable_bytes(const struct stat *cursor)
{
	return (uint64_t)cursor->st_size < MOST_BYTES ? (size_t)cursor->st_size : MOST_BYTES;
}

void ayrei_members_init(struct ayrei_members *members)
{
	*members = (struct ayrei_members){.set = -1};
}

static void let_go(struct ayrei_member *member)
{
	ayrei_shared_unmap(&member->page);
	ayrei_file_close(member->file);
	ayrei_file_close(member->bell);
}

void ayrei_members_fini(struct ayrei_members *members)
{
	for (size_t i = 0; i < members->count; i++)
		let_go(&members->all[i]);
	free(members->all);
	free(members->watches);
	ayrei_file_close(members->set);
	ayrei_members_init(members);
}

static void drop(struct ayrei_members *members, size_t index)
{
	struct ayrei_member *member = &members->all[index];

	if (member->bell >= 0)
		(void)!ayrei_set_remove(members->set, member->bell);
	let_go(member);
	members->count--;
	members->all[index] = members->all[members->count];
	members->watches[index] = members->watches[members->count];
}

static int make_room(struct ayrei_members *members)
{
	size_t room = members->room ? 2 * members->room : 4;
	void *grown;

	if (members->count < members->room)
		return 0;
	grown = reallocarray(members->all, room, sizeof(*members->all));
	if (!grown)
		return -ENOMEM;
	members->all = grown;
	grown = reallocarray(members->watches, room, sizeof(*members->watches));
	if (!grown)
		return -ENOMEM;
	members->watches = grown;
	members->room = room;
	return 0;
}

/* Is it a cursor of this topic? Its first line was written before it had its name. */
static bool is_cursor(const struct ayrei_cursor_layout *layout, uint64_t id,
                      const uint8_t *generation)
{
	return memcmp(layout->magic, AYREI_CURSOR_MAGIC, sizeof(layout->magic)) == 0 &&
	       layout->version == AYREI_TOPIC_VERSION &&
	       layout->header_bytes == offsetof(struct ayrei_cursor_layout, entries) &&
	       memcmp(layout->generation, generation, AYREI_GENERATION_BYTES) == 0 &&
	       layout->id == id;
}

/* Takes what member holds, also on failure. */
static int add(struct ayrei_members *members, struct ayrei_member *member)
{
	const struct ayrei_cursor_layout *layout = layout_of(member);
	uint64_t flags = ayrei_load(&layout->flags);
	int result = make_room(members);

	if (result == 0 && members->set >= 0 && member->bell >= 0)
		result = ayrei_set_add(members->set, member->bell, 0, member->id);
	if (result < 0) {
		let_go(member);
		return result;
	}
	member->counts = member->counts && !(flags & AYREI_CURSOR_LOSSY);
	member->needs_fence = flags & AYREI_CURSOR_NEEDS_FENCE;
	member->entry = SIZE_MAX;
	members->all[members->count] = *member;
	/* Seen as awake: if it sleeps already, the next comparison finds a ticket. */
	members->watches[members->count++] = (struct ayrei_watch){.ticket = ticket_of(member)};
	return 0;
}

static size_t find(const struct ayrei_members *members, uint64_t id)
{
	size_t i = 0;

	while (i < members->count && members->all[i].id != id)
		i++;
	return i;
}

/* --- the directory --- */

struct look {
	struct ayrei_members *members;
	const struct ayrei_topic *topic;
	uint64_t floor;
	bool ring;
};

/* The cursor last: as long as it is there, others know by it whose the bell is. */
static void clear_away(const struct ayrei_topic *topic, uint64_t id)
{
	char path[AYREI_PEER_PATH_BYTES];

	(void)!ayrei_file_unlink(ayrei_peer_path(topic, AYREI_PEER_SUBSCRIBER, id, ".bell", path));
	(void)!ayrei_file_unlink(ayrei_peer_path(topic, AYREI_PEER_SUBSCRIBER, id, "", path));
}

static bool is_wanted(const struct ayrei_members *members, const struct ayrei_cursor_layout *layout)
{
	return !members->safe_only || ayrei_load(&layout->flags) & AYREI_CURSOR_SAFE_ONLY;
}

/* Negative: it lives and cannot be taken in. 0: it was, or it is nobody. */
static int take_in(const struct look *look, uint64_t id)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct ayrei_member member = {.id = id, .floor = look->floor, .bell = -1};
	struct stat status;
	int result = member.file = ayrei_peer_open(look->topic, AYREI_PEER_SUBSCRIBER, id,
	                                           sizeof(struct ayrei_cursor_layout), &status);

	/* Gone meanwhile, or no file that we could believe. */
	if (result == -ENOENT || result == -EPROTO)
		return 0;
	if (result < 0)
		return result;
	member.page_bytes = believable_bytes(&status);
	member.counts = ayrei_topic_may_publish(look->topic, &status);
	result = ayrei_file_is_owned(member.file);
	/* It had its lock before its name: it died before anybody knew it. */
	if (result == 0)
		clear_away(look->topic, id);
	if (result == 1)
		result = ayrei_shared_map(&member.page, member.file, member.page_bytes, 0, false,
		                          false);
	else
		result = -ESTALE;
	if (result == 0 && (!is_cursor(layout_of(&member), id, look->topic->layout.generation) ||
	                    !is_wanted(look->members, layout_of(&member))))
		result = -ESTALE;
	if (result == 0) {
		member.bell = ayrei_bell_open(
			ayrei_peer_path(look->topic, AYREI_PEER_SUBSCRIBER, id, ".bell", path));
		if (member.bell == -EMFILE || member.bell == -ENFILE || member.bell == -ENOMEM)
			result = member.bell;
		/* One without a bell cannot be woken, and is not waited for: nothing would tell of its end. */
		member.counts = member.counts && member.bell >= 0;
		if (member.bell < 0)
			member.bell = -1;
	}
	if (result < 0) {
		let_go(&member);
		return result == -ESTALE ? 0 : result;
	}
	if (look->ring)
		ayrei_bell_ring(member.bell, AYREI_BELL_JOIN);
	return add(look->members, &member);
}

static int visit(const struct ayrei_peer_name *name, void *context)
{
	const struct look *look = context;

	if (name->kind != AYREI_PEER_SUBSCRIBER || name->suffix[0])
		return 0;
	return find(look->members, name->id) < look->members->count ? 0 : take_in(look, name->id);
}

int ayrei_members_look(struct ayrei_members *members, const struct ayrei_topic *topic,
                       uint64_t floor, bool ring)
{
	struct look look = {members, topic, floor, ring};
	int result = ayrei_topic_visit(topic, visit, &look);

	/* One whose name is gone lives on all the same, if the topic was removed under us. */
	if (result == 0)
		ayrei_members_bury(members, topic, 0);
	return result;
}

int ayrei_members_adopt(struct ayrei_members *members, const uint8_t *generation, int page,
                        int bell, uint64_t floor)
{
	struct ayrei_member member = {
		.id = 1,
		.floor = floor,
		.counts = true,
		.file = -1,
		.bell = -1,
		.page_bytes = sizeof(struct ayrei_cursor_layout),
	};
	int result = ayrei_shared_map(&member.page, page, member.page_bytes, 0, false, true);

	if (result == 0 && !is_cursor(layout_of(&member), layout_of(&member)->id, generation))
		result = -EPROTO;
	if (result == 0) {
		member.bell = ayrei_bell_take(bell, false);
		result = member.bell < 0 ? member.bell : 0;
	}
	if (result < 0) {
		let_go(&member);
		return result;
	}
	return add(members, &member);
}

/*
 * Its lock is gone, or the reading end of its bell. The kernel lets go of a dead process's descriptors one
 * after the other, and who closes does so too: whichever is gone first, nothing will be read any more,
 * and nothing tells of the second.
 */
static bool is_dead(const struct ayrei_member *member)
{
	int ready;

	if (member->file >= 0 && ayrei_file_is_owned(member->file) == 0)
		return true;
	ready = member->bell >= 0 ? ayrei_wait_for(member->bell, 0, 0) : 0;
	return ready > 0 && ((unsigned int)ready & AYREI_HANGUP);
}

int ayrei_members_bury(struct ayrei_members *members, const struct ayrei_topic *topic, uint64_t id)
{
	int found = 0;

	for (size_t i = members->count; i-- > 0;) {
		struct ayrei_member *member = &members->all[i];

		if (id && member->id != id)
			continue;
		if (is_dead(member)) {
			uint64_t dead = member->id;

			drop(members, i);
			found = 1;
			if (topic)
				clear_away(topic, dead);
		}
	}
	return found;
}

void ayrei_members_part(struct ayrei_members *members, const struct ayrei_topic *topic)
{
	for (size_t i = members->count; i-- > 0;)
		if (members->all[i].file < 0)
			drop(members, i);
	ayrei_members_bury(members, topic, 0);
}

void ayrei_members_take_leave(const struct ayrei_members *members)
{
	for (size_t i = 0; i < members->count; i++)
		ayrei_bell_ring(members->all[i].bell, AYREI_BELL_LEAVE);
}

/* --- cursors --- */

static const struct ayrei_cursor_entry *entry_at(const struct ayrei_member *member, size_t index)
{
	return layout_of(member)->entries + index;
}

static size_t room_of(const struct ayrei_member *member)
{
	return (member->page_bytes - offsetof(struct ayrei_cursor_layout, entries)) /
	       sizeof(struct ayrei_cursor_entry);
}

/* It says that it has more lanes than it had pages when we came: maps what it has now. */
static void map_more(struct ayrei_member *member)
{
	struct ayrei_shared page = {0};
	struct stat status;
	size_t bytes;

	if (member->file < 0 || ayrei_file_status(member->file, &status) < 0)
		return;
	bytes = believable_bytes(&status);
	if (bytes <= member->page_bytes ||
	    ayrei_shared_map(&page, member->file, bytes, 0, false, false) < 0)
		return;
	ayrei_shared_unmap(&member->page);
	member->page = page;
	member->page_bytes = bytes;
}

/* Each entry is looked at once: it is whole before it is counted, and stays what it is. */
static void find_entry(struct ayrei_member *member, const struct ayrei_lane *lane)
{
	uint64_t count = ayrei_load_acquire(&layout_of(member)->entry_count);

	if (count > room_of(member))
		map_more(member);
	while (member->searched < count && member->searched < room_of(member)) {
		size_t index = member->searched++;
		uint64_t position;

		if (ayrei_load_acquire(&entry_at(member, index)->lane) != lane->layout->id)
			continue;
		/* Where it begins may lie before where we first saw it. */
		position = ayrei_load_acquire(&entry_at(member, index)->position);
		member->entry = index;
		if (position <= lane->position)
			member->floor = position;
		return;
	}
}

static uint64_t floor_of(struct ayrei_member *member, const struct ayrei_lane *lane)
{
	uint64_t position, ring = lane->mask + 1;

	if (member->entry == SIZE_MAX)
		find_entry(member, lane);
	if (member->entry == SIZE_MAX)
		return member->floor;
	position = ayrei_load_acquire(&entry_at(member, member->entry)->position);
	/* Forwards, and not beyond what was written. */
	if (position > member->floor && position <= lane->position)
		member->floor = position;
	/* It began behind what was already spoilt, and will find that out by itself. */
	if (member->floor + ring < lane->limit)
		member->floor = lane->limit - ring;
	return member->floor;
}

uint64_t ayrei_members_floor(struct ayrei_members *members, const struct ayrei_lane *lane)
{
	uint64_t floor = UINT64_MAX;

	for (size_t i = 0; i < members->count; i++) {
		struct ayrei_member *member = &members->all[i];

		if (member->counts && !ayrei_shared_is_lost(&member->page)) {
			uint64_t one = floor_of(member, lane);

			/* Its page may have moved. */
			members->watches[i].ticket = ticket_of(member);
			floor = one < floor ? one : floor;
		}
	}
	return floor;
}

/* --- waking --- */

bool ayrei_members_wake(struct ayrei_members *members)
{
	bool rang = false;

	for (size_t i = 0; i < members->count; i++) {
		struct ayrei_watch *watch = &members->watches[i];
		uint64_t ticket = ayrei_load_acquire(watch->ticket);

		if (ticket == watch->seen)
			continue;
		watch->seen = ticket;
		if (ticket % 2 == 1) {
			ayrei_bell_ring(members->all[i].bell, AYREI_BELL_MESSAGE);
			members->wakes++;
			rang = true;
		}
	}
	return rang;
}

bool ayrei_members_need_fence(const struct ayrei_members *members)
{
	for (size_t i = 0; i < members->count; i++)
		if (members->all[i].needs_fence)
			return true;
	return false;
}
