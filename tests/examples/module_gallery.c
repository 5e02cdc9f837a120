/*
 * A decoder for gallery that was taken over: what it does is the first word of the picture.
 */
#include <ayre/module.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tile.h"

#define SIDE        8
#define WHOLE_BYTES (sizeof(struct tile_header) + (size_t)SIDE * SIDE * TILE_PIXEL_BYTES)

int decode(const struct ayre_request *request, struct ayre_reply *reply);

static int answer(struct ayre_reply *reply, uint32_t width, uint32_t height, size_t bytes)
{
	struct tile_header header = {width, height, width, height};
	uint8_t *pixels = (uint8_t *)reply->data + sizeof(header);

	memcpy(reply->data, &header, sizeof(header));
	for (size_t i = 0; i < (size_t)SIDE * SIDE; i++)
		memcpy(pixels + i * TILE_PIXEL_BYTES, "\x10\xe0\x20\xff", TILE_PIXEL_BYTES);
	reply->bytes = bytes;
	return 0;
}

static int say(struct ayre_reply *reply, const char *text)
{
	reply->bytes = strlen(text);
	memcpy(reply->data, text, reply->bytes);
	return 1;
}

static int crash(struct ayre_reply *reply)
{
	(void)reply;
	*(volatile int *)16 = 1;
	return 0;
}

static int hang(struct ayre_reply *reply)
{
	while (reply)
		nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	return 0;
}

static int loop(struct ayre_reply *reply)
{
	volatile unsigned int count = 0;

	while (reply)
		count++;
	return 0;
}

/* Which memory is refused to. A part of it is used, so that the machine has not much to do. */
static int eat(struct ayre_reply *reply)
{
	while (reply) {
		char *block = malloc(16 << 20);

		memset(block, 1, 4096);
	}
	return 0;
}

static int deeper(volatile char *above, int depth)
{
	volatile char frame[4096];

	frame[0] = *above;
	return depth < 0 ? 0 : deeper(frame, depth + 1) + frame[0];
}

static int stack(struct ayre_reply *reply)
{
	volatile char first = 0;

	(void)reply;
	return deeper(&first, 0);
}

/* What it can have of the machine's users, it says. */
static int passwd(struct ayre_reply *reply)
{
	char text[128] = "/etc/passwd: ";
	int fd = open("/etc/passwd", O_RDONLY);

	if (fd < 0)
		return say(reply, strcat(text, strerror(errno)));
	if (read(fd, text + strlen(text), 32) < 0)
		return say(reply, "/etc/passwd: opened");
	return say(reply, text);
}

static int connect_out(struct ayre_reply *reply)
{
	(void)reply;
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int leave(struct ayre_reply *reply)
{
	(void)reply;
	exit(0);
}

static int whole(struct ayre_reply *reply)
{
	return answer(reply, SIDE, SIDE, WHOLE_BYTES);
}

/* As many bytes as it says, and as a tile may have, in a row that no tile has room for. */
static int lie_strip(struct ayre_reply *reply)
{
	return answer(reply, 64 * 64, 1, sizeof(struct tile_header) + 64 * 64 * TILE_PIXEL_BYTES);
}

static int lie_wide(struct ayre_reply *reply)
{
	return answer(reply, UINT32_MAX, 1, sizeof(struct tile_header) + 64);
}

/* As many bytes as it says, if one counts in 32 bits. */
static int lie_around(struct ayre_reply *reply)
{
	return answer(reply, 1u << 15, 1u << 15, sizeof(struct tile_header));
}

/* The last pixel is missing. */
static int lie_less(struct ayre_reply *reply)
{
	return answer(reply, SIDE, SIDE, WHOLE_BYTES - 1);
}

static int lie_more(struct ayre_reply *reply)
{
	return answer(reply, SIDE, SIDE, WHOLE_BYTES + 4);
}

static int lie_none(struct ayre_reply *reply)
{
	return answer(reply, 0, 0, sizeof(struct tile_header));
}

static int lie_short(struct ayre_reply *reply)
{
	return answer(reply, SIDE, SIDE, 3);
}

/* To clear whose terminal? */
static int rude(struct ayre_reply *reply)
{
	return say(reply, "\033[2J\033]0;gotcha\007 \xff rude");
}

static int silent(struct ayre_reply *reply)
{
	(void)reply;
	return 42;
}

static const struct {
	const char *word;
	int (*run)(struct ayre_reply *reply);
} deeds[] = {
	{"crash", crash},         {"hang", hang},
	{"loop", loop},           {"eat", eat},
	{"stack", stack},         {"passwd", passwd},
	{"socket", connect_out},  {"exit", leave},
	{"whole", whole},         {"lie-wide", lie_wide},
	{"lie-strip", lie_strip}, {"lie-around", lie_around},
	{"lie-more", lie_more},   {"lie-less", lie_less},
	{"lie-none", lie_none},   {"lie-short", lie_short},
	{"rude", rude},           {"silent", silent},
};

__attribute__((visibility("default"))) int decode(const struct ayre_request *request,
                                                  struct ayre_reply *reply)
{
	for (size_t i = 0; i < sizeof(deeds) / sizeof(*deeds); i++) {
		size_t length = strlen(deeds[i].word);

		if (request->input_bytes > length &&
		    memcmp(request->input, deeds[i].word, length) == 0 &&
		    ((const char *)request->input)[length] == '\n')
			return deeds[i].run(reply);
	}
	return crash(reply);
}
