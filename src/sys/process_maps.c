/*
 * The shared maps of one process.
 *
 * Invariant: a map is visited once, also when its process is asked in one way first and in the
 * other then; and what is said of it comes from one answer of the kernel.
 *
 * Since Linux 6.11 the kernel can be asked for the maps that are shared and have a file, and for
 * no others (PROCMAP_QUERY). Before, it writes out all of them with their paths, a page a read,
 * and what is not shared is thrown away here, which takes 3 to 5 times as long.
 */
#include "sys/process_maps.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "sys/file.h"
#include "sys/result.h"

/* struct procmap_query of <linux/fs.h>, Linux 6.11; Debian 12's headers are older. */
struct map_query {
	uint64_t size;
	uint64_t flags;
	uint64_t address;
	uint64_t begin, end;
	uint64_t map_flags;
	uint64_t page_bytes;
	uint64_t offset;
	uint64_t inode;
	uint32_t device_major, device_minor;
	uint32_t name_bytes;
	uint32_t build_id_bytes;
	uint64_t name;
	uint64_t build_id;
};

#define MAP_QUERY       _IOWR('f', 17, struct map_query)
#define QUERY_WRITABLE  0x02u
#define QUERY_SHARED    0x08u
#define QUERY_NEXT      0x10u
#define QUERY_WITH_FILE 0x20u

struct walk {
	int (*visit)(const struct ayrei_process_map *map, void *context);
	void *context;
	uint64_t from; /* everything below has been visited */
};

/* Reads a number and, unless the text ends there, the one character behind it. */
static char *scan(char *text, unsigned int base, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (;; text++) {
		unsigned int digit = (unsigned int)(*text | 0x20) - '0';

		if (digit > 9)
			digit -= 'a' - '0' - 10;
		if (digit >= base)
			break;
		number = number * base + digit;
	}
	*ret_number = number;
	return *text ? text + 1 : text;
}

/* The one character that a line cannot hold. A backslash is not escaped, so this is a guess. */
static void restore_newlines(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		bool newline = strncmp(from, "\\012", 4) == 0;

		*to++ = newline ? '\n' : *from;
		from += newline ? 4 : 1;
	}
	*to = '\0';
}

/* "begin-end rwxs offset major:minor inode   path". false: not shared, as nearly all. */
static bool parse_map(char *line, struct ayrei_process_map *ret_map)
{
	uint64_t device_major, device_minor;
	char *text = scan(line, 16, &ret_map->begin);

	text = scan(text, 16, &ret_map->end);
	if (!text[0] || !text[1] || !text[2] || text[3] != 's' || !text[4])
		return false;
	ret_map->writable = text[1] == 'w';
	text = scan(text + 5, 16, &ret_map->offset);
	text = scan(text, 16, &device_major);
	text = scan(text, 16, &device_minor);
	text = scan(text, 10, &ret_map->inode);
	ret_map->device = makedev((unsigned int)device_major, (unsigned int)device_minor);
	text += strspn(text, " ");
	restore_newlines(text);
	ret_map->path = text;
	return true;
}

static int visit_line(char *line, const struct walk *walk)
{
	struct ayrei_process_map map;

	if (!parse_map(line, &map) || map.begin < walk->from)
		return 0;
	return walk->visit(&map, walk->context);
}

/* Visits the whole lines of the buffer. Returns how many bytes of a begun one are left. */
static ssize_t visit_lines(char *buffer, size_t length, const struct walk *walk)
{
	char *line = buffer, *end;

	while ((end = memchr(line, '\n', length - (size_t)(line - buffer)))) {
		int result;

		*end = '\0';
		result = visit_line(line, walk);
		if (result < 0)
			return result;
		line = end + 1;
	}
	length -= (size_t)(line - buffer);
	memmove(buffer, line, length);
	return (ssize_t)length;
}

static int read_text(struct ayrei_maps_reader *reader, int fd, const struct walk *walk)
{
	size_t room = sizeof(reader->buffer), kept = 0;

	for (;;) {
		ssize_t got = ayrei_file_read(fd, reader->buffer + kept, room - kept);
		ssize_t left;

		if (got <= 0)
			return (int)got;
		left = visit_lines(reader->buffer, kept + (size_t)got, walk);
		if (left < 0)
			return (int)left;
		/*
		 * No call can open a path this long. Its line keeps its beginning, which is all
		 * that is looked at until its end comes.
		 */
		kept = (size_t)left < room ? (size_t)left : room / 2;
	}
}

/* 1: the rest has to be read as text. */
static int query(struct ayrei_maps_reader *reader, int fd, struct walk *walk)
{
	for (;;) {
		struct map_query query = {
			.size = sizeof(query),
			.flags = QUERY_SHARED | QUERY_WITH_FILE | QUERY_NEXT,
			.address = walk->from,
			.name = (uintptr_t)reader->buffer,
			.name_bytes = sizeof(reader->buffer),
		};
		int result = AYREI_RESULT(ioctl(fd, MAP_QUERY, &query));
		struct ayrei_process_map map = {
			.begin = query.begin,
			.end = query.end,
			.offset = query.offset,
			.device = makedev(query.device_major, query.device_minor),
			.inode = query.inode,
			.writable = query.map_flags & QUERY_WRITABLE,
			.path = query.name_bytes ? reader->buffer : "",
		};

		/* No more of them, or no process any more. */
		if (result == -ENOENT || result == -ESRCH)
			return 0;
		if (result == -ENOTTY)
			reader->text_only = true;
		/* A single map may be too much for a query: its path can be too long. */
		if (result < 0)
			return 1;
		walk->from = query.end;
		result = walk->visit(&map, walk->context);
		if (result < 0)
			return result;
	}
}

int ayrei_maps_visit(struct ayrei_maps_reader *reader, int fd,
                     int (*visit)(const struct ayrei_process_map *map, void *context),
                     void *context)
{
	struct walk walk = {.visit = visit, .context = context};
	int result = reader->text_only ? 1 : query(reader, fd, &walk);

	return result == 1 ? read_text(reader, fd, &walk) : result;
}
