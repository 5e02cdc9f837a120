/*
 * The workers: a picture goes to one as a descriptor and comes back as a tile, or as what went
 * wrong.
 *
 * Invariant: what a process answered is copied first, then judged, then used; no number of it is
 * believed that was not compared. A picture is done once, whatever happens.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gallery.h"

/* Memory of a process besides its module and the picture. */
#define MEMORY_BYTES (UINT64_C(768) << 20)

#define FUNCTION "decode"

#define TROUBLE(...) (&(struct trouble){__VA_ARGS__})

/* Its call has ended, and was given back. */
static void take_back(struct decoder *decoder, struct picture *picture)
{
	decoder->under_way--;
	picture->state = PICTURE_WAITING;
}

static void count_as_done(struct decoder *decoder, struct picture *picture,
                          enum picture_state state)
{
	decoder->failed_count += state == PICTURE_FAILED;
	decoder->done_count++;
	picture->state = state;
}

static void say_trouble(struct gallery *gallery, const struct picture *picture)
{
	const struct trouble *trouble = &picture->trouble;
	char name[1024];

	text_clean(picture->name, strlen(picture->name), name, sizeof(name));
	text_say(gallery, "%s: %s%s%s", name, trouble->what, *trouble->detail ? ": " : "",
	         trouble->detail);
}

void decoder_give_up(struct gallery *gallery, struct picture *picture, enum picture_state state,
                     const struct trouble *trouble)
{
	struct decoder *decoder = &gallery->decoders[picture->decoder];
	char name[1024];

	if (picture->state != PICTURE_WAITING && picture->state != PICTURE_UNDER_WAY)
		return;
	if (picture->state == PICTURE_UNDER_WAY) {
		ayre_worker_cancel(decoder->worker, picture->call);
		take_back(decoder, picture);
	}
	count_as_done(decoder, picture, state);
	picture->trouble = *trouble;
	text_clean(picture->name, strlen(picture->name), name, sizeof(name));
	sheet_tell(gallery->sheet, (size_t)(picture - gallery->folder.pictures), name,
	           &picture->trouble, state == PICTURE_FAILED);
	if (state == PICTURE_FAILED)
		say_trouble(gallery, picture);
}

void decoder_give_up_all(struct gallery *gallery, struct decoder *decoder, enum picture_state state,
                         const struct trouble *trouble)
{
	for (size_t i = 0; i < gallery->folder.count; i++)
		if (gallery->folder.pictures[i].decoder == (size_t)(decoder - gallery->decoders))
			decoder_give_up(gallery, &gallery->folder.pictures[i], state, trouble);
}

/* --- what went wrong --- */

static void describe_end(const struct ayre_worker_end *end, struct trouble *trouble)
{
	char *what = trouble->what, *detail = trouble->detail;
	const char *name = end->signal > 0 ? sigabbrev_np(end->signal) : NULL;
	const char *call = ayre_system_call_name(end->system_call);
	size_t size = sizeof(trouble->what), room = sizeof(trouble->detail);

	switch (end->kind) {
	case AYRE_WORKER_KILLED:
		snprintf(what, size, "killed by %s%s", name ? "SIG" : "a signal", name ? name : "");
		if (end->has_address)
			snprintf(detail, room, "at address 0x%llx",
			         (unsigned long long)end->address);
		break;
	case AYRE_WORKER_FORBIDDEN:
		snprintf(what, size, "forbidden call %s", call ? call : "of no name");
		break;
	case AYRE_WORKER_EXITED:
		snprintf(what, size, "exited with status %d", end->status);
		snprintf(detail, room, "instead of an answer");
		break;
	case AYRE_WORKER_STACK:
		snprintf(what, size, "out of stack");
		break;
	case AYRE_WORKER_MEMORY:
		snprintf(what, size, "out of memory");
		snprintf(detail, room, "%llu MiB are what a picture has",
		         (unsigned long long)MEMORY_BYTES >> 20);
		break;
	default:
		snprintf(what, size, "its process is lost");
		ayre_worker_end_text(end, detail, room);
		break;
	}
}

/* A module's own words, which are not believed to be any. */
static void quote(const struct ayre_worker_answer *answer, struct trouble *trouble)
{
	char words[sizeof(trouble->detail)];
	size_t bytes = answer->data ? answer->bytes : 0;

	if (bytes > sizeof(words))
		bytes = sizeof(words);
	if (bytes > 0)
		memcpy(words, answer->data, bytes);
	snprintf(trouble->what, sizeof(trouble->what), "not decoded");
	if (bytes > 0)
		text_clean(words, bytes, trouble->detail, sizeof(trouble->detail));
	else
		snprintf(trouble->detail, sizeof(trouble->detail), "the module answers %d",
		         answer->result);
}

static void describe_code(int code, struct trouble *trouble)
{
	const struct {
		int code;
		struct trouble trouble;
	} table[] = {
		{-ENOENT, {"no decoder", "the module has no function " FUNCTION}},
		{-EPROTO, {"answer makes no sense", "the process broke the protocol"}},
		{-EMSGSIZE, {"too large", "the picture, or what was made of it"}},
		{-EBADMSG, {"refused", "other copies of this picture ended their processes"}},
		{-EMEDIUMTYPE, {"cannot be read", "it is no file any more"}},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (table[i].code == code) {
			*trouble = table[i].trouble;
			return;
		}
	snprintf(trouble->what, sizeof(trouble->what), "cannot be read");
	snprintf(trouble->detail, sizeof(trouble->detail), "%s", strerror(-code));
}

static struct trouble describe(const struct gallery *gallery,
                               const struct ayre_worker_answer *answer)
{
	struct trouble trouble = {.what = ""};

	switch (answer->outcome) {
	case -EREMOTEIO:
		quote(answer, &trouble);
		break;
	case -EPIPE:
		describe_end(&answer->end, &trouble);
		break;
	case -ETIMEDOUT:
		snprintf(trouble.what, sizeof(trouble.what), "deadline passed");
		snprintf(trouble.detail, sizeof(trouble.detail), "after %g s it was %s",
		         (double)gallery->options.timeout_ns / 1e9,
		         answer->end.was_busy ? "still computing" : "asleep");
		break;
	default:
		describe_code((int)answer->outcome, &trouble);
		break;
	}
	return trouble;
}

/* --- a tile --- */

/* Of our copy. Only what the pixels look like is the module's business. */
static bool is_sound(const struct gallery *gallery, const struct tile_header *header,
                     uint64_t bytes)
{
	uint64_t pixels = (uint64_t)header->width * header->height;

	return header->width >= 1 && header->height >= 1 &&
	       header->width <= gallery->options.tile && header->height <= gallery->options.tile &&
	       bytes == sizeof(*header) + pixels * TILE_PIXEL_BYTES;
}

/* False: it is none. */
static bool show(struct gallery *gallery, struct picture *picture,
                 const struct ayre_worker_answer *answer)
{
	struct tile_header header = {0};
	uint64_t bytes = answer->bytes;
	char name[1024];

	if (bytes >= sizeof(header) && bytes <= gallery->reply_bytes) {
		memcpy(gallery->reply, answer->data, bytes);
		memcpy(&header, gallery->reply, sizeof(header));
	}
	if (!is_sound(gallery, &header, bytes))
		return false;
	text_clean(picture->name, strlen(picture->name), name, sizeof(name));
	sheet_show(gallery->sheet, (size_t)(picture - gallery->folder.pictures), name, &header,
	           gallery->reply + sizeof(header));
	return true;
}

static struct picture *picture_of_call(struct gallery *gallery, const struct decoder *decoder,
                                       uint64_t call)
{
	for (size_t i = 0; i < gallery->folder.count; i++) {
		struct picture *picture = &gallery->folder.pictures[i];

		if (picture->decoder == (size_t)(decoder - gallery->decoders) &&
		    picture->state == PICTURE_UNDER_WAY && picture->call == call)
			return picture;
	}
	return NULL;
}

static void take_answer(struct gallery *gallery, struct decoder *decoder,
                        const struct ayre_worker_answer *answer)
{
	struct picture *picture = picture_of_call(gallery, decoder, answer->call);
	struct trouble trouble = {"answer makes no sense", "that is no tile"};
	bool is_shown = false;

	if (answer->outcome < 0)
		trouble = describe(gallery, answer);
	else if (picture)
		is_shown = show(gallery, picture, answer);
	ayre_worker_release(decoder->worker, answer->call);
	if (!picture)
		return;
	take_back(decoder, picture);
	if (is_shown)
		count_as_done(decoder, picture, PICTURE_SHOWN);
	else
		decoder_give_up(gallery, picture, PICTURE_FAILED, &trouble);
}

static void lose_worker(struct gallery *gallery, struct decoder *decoder)
{
	decoder_give_up_all(gallery, decoder, PICTURE_FAILED,
	                    TROUBLE("its worker is gone", "and what was left for it with it"));
}

void decoder_collect(struct gallery *gallery, struct decoder *decoder)
{
	struct ayre_worker_answer answer = {.size = sizeof(answer)};
	int result;

	decoder->is_full = false;
	while ((result = ayre_worker_try_collect(decoder->worker, &answer)) == 0)
		take_answer(gallery, decoder, &answer);
	if (result != -EAGAIN && result != -ENOMSG)
		lose_worker(gallery, decoder);
}

/* --- beginning --- */

size_t decoder_next(struct gallery *gallery, struct decoder *decoder)
{
	size_t number = (size_t)(decoder - gallery->decoders);

	for (; decoder->next < gallery->folder.count; decoder->next++) {
		const struct picture *picture = &gallery->folder.pictures[decoder->next];

		if (picture->decoder == number && picture->state == PICTURE_WAITING)
			return decoder->next;
	}
	return NO_PICTURE;
}

void decoder_begin(struct gallery *gallery, struct decoder *decoder)
{
	struct picture *picture = &gallery->folder.pictures[decoder_next(gallery, decoder)];
	struct tile_request request = {gallery->options.tile, gallery->options.tile};
	struct ayre_worker_job job = {
		.size = sizeof(job),
		.function = FUNCTION,
		.request = &request,
		.request_bytes = sizeof(request),
		.flags = AYRE_WORKER_INPUT,
		.input = folder_open_picture(&gallery->folder, picture),
	};
	int result = job.input < 0 ? job.input
	                           : ayre_worker_submit(decoder->worker, &job, &picture->call);

	if (job.input >= 0)
		close(job.input);
	if (result == 0) {
		picture->state = PICTURE_UNDER_WAY;
		decoder->under_way++;
	} else if (job.input >= 0 && result == -EAGAIN) {
		decoder->is_full = true;
	} else if (result == -ENOTCONN) {
		/* What was answered before is not lost. */
		decoder_collect(gallery, decoder);
		lose_worker(gallery, decoder);
	} else {
		struct trouble trouble = {.what = ""};

		describe_code(result, &trouble);
		decoder_give_up(gallery, picture, PICTURE_FAILED, &trouble);
	}
}

/* --- the workers --- */

static int open_worker(struct gallery *gallery, struct decoder *decoder)
{
	struct ayre_worker_options options = {
		.size = sizeof(options),
		.memory_bytes = MEMORY_BYTES,
		.timeout_ns = gallery->options.timeout_ns,
		.reply_max = gallery->reply_bytes,
		.processes = gallery->options.processes,
	};
	struct trouble trouble = {.what = "no decoder"};
	struct ayre_error error;
	char text[640];
	int result = ayre_worker_open(&options, decoder->module, &decoder->worker, &error);

	if (result == 0)
		return 0;
	decoder->worker = NULL;
	ayre_error_text(&error, text, sizeof(text));
	text_clean(text, strlen(text), trouble.detail, sizeof(trouble.detail));
	decoder_give_up_all(gallery, decoder, PICTURE_FAILED, &trouble);
	return result;
}

int decoder_open_all(struct gallery *gallery)
{
	size_t tile = gallery->options.tile;

	gallery->reply_bytes = sizeof(struct tile_header) + tile * tile * TILE_PIXEL_BYTES;
	gallery->reply = malloc(gallery->reply_bytes);
	if (!gallery->reply)
		return -ENOMEM;
	/* Whose module cannot be loaded has only tiles that say so. */
	for (size_t i = 0; i < gallery->decoder_count; i++)
		if (gallery->decoders[i].count > 0)
			(void)!open_worker(gallery, &gallery->decoders[i]);
	return 0;
}

void decoder_close_all(struct gallery *gallery)
{
	for (size_t i = 0; i < gallery->decoder_count; i++) {
		ayre_worker_close(gallery->decoders[i].worker);
		gallery->decoders[i].worker = NULL;
	}
	free(gallery->reply);
	gallery->reply = NULL;
}
