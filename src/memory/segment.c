/*
 * Segments: opening by name, and what a handle tells.
 *
 * Invariant: a handle that leaves this file is whole. Its header and tag were checked in
 * a private copy, its size is the kernel's, its map covers it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "memory/handle.h"
#include "sys/map.h"
#include "sys/sysv.h"

#define DEFAULT_MODE 0644
#define MODE_BITS    0666u

#define KNOWN_FLAGS \
	(AYRE_SEGMENT_CREATE | AYRE_SEGMENT_EXCLUSIVE | AYRE_SEGMENT_READ_ONLY | \
	 AYRE_SEGMENT_RAW | AYRE_SEGMENT_HUGE | AYRE_SEGMENT_POPULATE | AYRE_SEGMENT_MIRRORED | \
	 AYRE_SEGMENT_SOLE_WRITER)

/* Sizes are file offsets, which are signed; half of that leaves room for header and rounding. */
#define SIZE_LIMIT ((uint64_t)INT64_MAX / 2)

uint64_t ayrei_segment_total(const struct ayrei_segment_request *request)
{
	uint64_t header = request->options.tag ? ayrei_segment_header_bytes() : 0;

	return header + request->options.size_bytes;
}

static const char *find_bad_option(const struct ayre_segment_options *options, bool anonymous)
{
	uint32_t flags = options->flags;

	if (flags & ~(uint32_t)KNOWN_FLAGS)
		return "unknown flags";
	if (options->mode & ~MODE_BITS)
		return "the mode has bits beyond 0666";
	if (options->size_bytes > SIZE_LIMIT || options->reserve_bytes > SIZE_LIMIT)
		return "the size is beyond any address space";
	if (options->tag && (!*options->tag || strlen(options->tag) > AYRE_SEGMENT_TAG_MAX))
		return "a tag has 1 to 191 bytes";
	if (options->tag && (flags & AYRE_SEGMENT_RAW))
		return "a raw segment has no tag";
	if ((flags & AYRE_SEGMENT_EXCLUSIVE) && !(flags & AYRE_SEGMENT_CREATE))
		return "EXCLUSIVE goes with CREATE";
	if ((flags & AYRE_SEGMENT_CREATE) && options->size_bytes == 0)
		return "a segment cannot be made with no bytes";
	if ((flags & AYRE_SEGMENT_MIRRORED) && options->reserve_bytes)
		return "a mirrored segment cannot grow";
	if ((flags & AYRE_SEGMENT_MIRRORED) && options->size_bytes % ayrei_page_bytes() != 0)
		return "a mirrored segment is whole pages";
	if ((flags & AYRE_SEGMENT_SOLE_WRITER) && !anonymous)
		return "SOLE_WRITER goes with anonymous segments";
	return NULL;
}

static int prepare(struct ayrei_segment_request *request,
                   const struct ayre_segment_options *options, const char *name)
{
	const char *problem;
	int result = ayrei_options_copy(&request->options, sizeof(request->options), options);

	request->label = name ? name : "anonymous segment";
	if (result < 0)
		return ayrei_fail(request->error, result, "options", request->label,
		                  "the size field of the options is not set");
	if (!name)
		request->options.flags |= AYRE_SEGMENT_CREATE;
	problem = find_bad_option(&request->options, !name);
	if (problem)
		return ayrei_fail(request->error, -EINVAL, "options", request->label, "%s",
		                  problem);
	request->mode_is_default = !request->options.mode;
	if (request->mode_is_default)
		request->options.mode = DEFAULT_MODE;
	if (!name) {
		request->name.backing = AYRE_BACKING_MEMFD;
		return 0;
	}
	return ayrei_segment_name_parse(name, &request->name, request->error);
}

static struct ayre_segment *new_handle(const struct ayrei_segment_request *request)
{
	size_t label_bytes = strlen(request->label) + 1;
	struct ayre_segment *segment = calloc(1, sizeof(*segment) + label_bytes);

	if (!segment)
		return NULL;
	memcpy(segment->label, request->label, label_bytes);
	segment->backing = request->name.backing;
	segment->read_only = ayrei_segment_wants(request, AYRE_SEGMENT_READ_ONLY);
	segment->mirrored = ayrei_segment_wants(request, AYRE_SEGMENT_MIRRORED);
	segment->want_huge = ayrei_segment_wants(request, AYRE_SEGMENT_HUGE);
	segment->populate = ayrei_segment_wants(request, AYRE_SEGMENT_POPULATE);
	segment->reserve_bytes = request->options.reserve_bytes;
	segment->created_ns = -1;
	segment->fd = -1;
	segment->sysv_id = -1;
	return segment;
}

int ayre_segment_open(const struct ayre_segment_options *options, const char *name,
                      struct ayre_segment **ret_segment, struct ayre_error *error)
{
	struct ayrei_segment_request request = {.error = error};
	struct ayre_segment *segment;
	int result = prepare(&request, options, name);

	if (result < 0)
		return result;
	segment = new_handle(&request);
	if (!segment)
		return ayrei_fail(error, -ENOMEM, "handle", request.label, NULL);
	if (!name)
		result = ayrei_segment_open_memory(&request, segment);
	else if (segment->backing == AYRE_BACKING_SYSV)
		result = ayrei_segment_open_sysv(&request, segment);
	else
		result = ayrei_segment_open_file(&request, segment);
	if (result < 0) {
		ayre_segment_close(segment);
		return result;
	}
	/* Attempts on the way have left their marks there. */
	if (error)
		memset(error, 0, sizeof(*error));
	*ret_segment = segment;
	return result;
}

int ayre_segment_open_fd(const struct ayre_segment_options *options, int fd,
                         struct ayre_segment **ret_segment, struct ayre_error *error)
{
	struct ayrei_segment_request request = {.label = "descriptor", .error = error};
	const char *problem = NULL;
	struct ayre_segment *segment;
	int result = ayrei_options_copy(&request.options, sizeof(request.options), options);

	if (result < 0)
		problem = "the size field of the options is not set";
	else if (request.options.flags & (AYRE_SEGMENT_CREATE | AYRE_SEGMENT_SOLE_WRITER))
		problem = "a descriptor is opened, not created";
	else
		problem = find_bad_option(&request.options, true);
	if (problem)
		return ayrei_fail(error, -EINVAL, "options", request.label, "%s", problem);
	request.name.backing = AYRE_BACKING_FILE;
	segment = new_handle(&request);
	if (!segment)
		return ayrei_fail(error, -ENOMEM, "handle", request.label, NULL);
	result = ayrei_segment_adopt_fd(&request, segment, fd);
	if (result < 0) {
		ayre_segment_close(segment);
		return result;
	}
	*ret_segment = segment;
	return 0;
}

void ayre_segment_close(struct ayre_segment *segment)
{
	int saved = errno;

	if (!segment)
		return;
	if (segment->backing == AYRE_BACKING_SYSV) {
		if (segment->base)
			ayrei_sysv_detach(segment->base);
	} else {
		ayrei_view_unmap(segment);
	}
	ayrei_file_close(segment->fd);
	free(segment);
	errno = saved;
}

int ayre_segment_remove(const char *name, struct ayre_error *error)
{
	struct ayrei_segment_name parsed;
	int result;

	if (!name)
		return ayrei_fail(error, -EINVAL, "name", "anonymous segment",
		                  "it has no name that could be removed");
	result = ayrei_segment_name_parse(name, &parsed, error);
	if (result < 0)
		return result;
	if (parsed.backing == AYRE_BACKING_SYSV)
		return ayrei_segment_remove_sysv(&parsed, error);
	return ayrei_segment_remove_file(&parsed, error);
}

void ayrei_segment_adopt_new(const struct ayrei_segment_request *request,
                             struct ayre_segment *segment)
{
	segment->size_bytes = request->options.size_bytes;
	if (request->options.tag) {
		segment->header_bytes = ayrei_segment_header_bytes();
		strcpy(segment->tag, request->options.tag);
	}
}

int ayrei_segment_accept(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                         const struct ayrei_segment_header *copy, uint64_t total_bytes)
{
	const struct ayre_segment_options *options = &request->options;
	const char *problem = NULL;
	int typed = ayrei_segment_wants(request, AYRE_SEGMENT_RAW)
	                    ? 0
	                    : ayrei_segment_header_check(copy, total_bytes, &problem);

	if (typed < 0)
		return ayrei_fail(request->error, typed, "header", request->label, "%s", problem);
	if (!typed && options->tag)
		return ayrei_fail(request->error, -EMEDIUMTYPE, "tag", request->label,
		                  "it has no tag, and \"%s\" was asked for", options->tag);
	if (typed && options->tag && strcmp(copy->tag, options->tag) != 0)
		return ayrei_fail(request->error, -EMEDIUMTYPE, "tag", request->label,
		                  "its tag is \"%.80s\", not \"%.80s\"", copy->tag, options->tag);
	segment->header_bytes = typed ? copy->header_bytes : 0;
	segment->created_ns = typed ? copy->created_ns : -1;
	segment->size_bytes = total_bytes - segment->header_bytes;
	if (typed)
		memcpy(segment->tag, copy->tag, sizeof(segment->tag));
	if (segment->size_bytes < options->size_bytes)
		return ayrei_fail(request->error, -EMSGSIZE, "size", request->label,
		                  "it holds %zu bytes, and %" PRIu64 " were asked for%s",
		                  segment->size_bytes, options->size_bytes,
		                  segment->backing == AYRE_BACKING_SYSV && request->name.path[0]
		                          ? "; another file can give the same key"
		                          : "");
	return 0;
}

int ayrei_segment_initialize(const struct ayrei_segment_request *request,
                             struct ayre_segment *segment)
{
	struct ayrei_segment_header *header = (void *)segment->base;
	int result = 0;

	if (request->options.tag) {
		result = ayrei_segment_header_init(header, request->options.tag);
		if (result < 0)
			return ayrei_fail(request->error, result, "header", request->label, NULL);
		segment->created_ns = header->created_ns;
	}
	if (request->options.initialize)
		result = request->options.initialize(ayre_segment_data(segment),
		                                     segment->size_bytes, request->options.context);
	if (result < 0)
		return ayrei_fail(request->error, result, "initialize", request->label,
		                  "the caller's initialiser refused");
	return 0;
}

void *ayre_segment_data(const struct ayre_segment *segment)
{
	return segment->size_bytes ? segment->base + segment->header_bytes : NULL;
}

size_t ayre_segment_size(const struct ayre_segment *segment)
{
	return segment->size_bytes;
}

enum ayre_backing ayre_segment_backing(const struct ayre_segment *segment)
{
	return segment->backing;
}

int ayre_segment_fd(const struct ayre_segment *segment)
{
	return segment->fd >= 0 ? segment->fd : -EOPNOTSUPP;
}

const char *ayre_segment_tag(const struct ayre_segment *segment)
{
	return segment->tag[0] ? segment->tag : NULL;
}

static int inform_sysv(const struct ayre_segment *segment, struct ayre_segment_info *info)
{
	struct ayrei_sysv_status status;
	/* What is resident stands only in the table. */
	int result = ayrei_sysv_look_up(segment->sysv_id, &status);

	if (result < 0)
		return result;
	info->resident_bytes = status.resident_bytes;
	info->mode = status.mode;
	info->uid = status.uid;
	info->gid = status.gid;
	info->key = (uint32_t)status.key;
	info->id = status.id;
	info->changed_ns = status.changed_ns;
	info->removed = status.removed;
	info->size_bytes = status.size_bytes - segment->header_bytes;
	return 0;
}

static int inform_file(const struct ayre_segment *segment, struct ayre_segment_info *info)
{
	struct stat status;
	int result = ayrei_file_status(segment->fd, &status);

	if (result < 0)
		return result;
	info->mode = status.st_mode & 0777;
	info->uid = status.st_uid;
	info->gid = status.st_gid;
	info->removed = status.st_nlink == 0 && segment->backing != AYRE_BACKING_MEMFD;
	info->device = status.st_dev;
	info->inode = status.st_ino;
	info->resident_bytes = (uint64_t)status.st_blocks * 512;
	info->changed_ns = (int64_t)status.st_ctim.tv_sec * 1000000000 + status.st_ctim.tv_nsec;
	info->size_bytes = (uint64_t)status.st_size > segment->header_bytes
	                           ? (uint64_t)status.st_size - segment->header_bytes
	                           : 0;
	return 0;
}

int ayre_segment_get_info(const struct ayre_segment *segment, struct ayre_segment_info *ret_info)
{
	struct ayre_segment_info info = {
		.backing = segment->backing,
		.typed = segment->header_bytes != 0,
		.header_bytes = segment->header_bytes,
		.created_ns = segment->created_ns,
		.key = -1,
		.id = -1,
	};
	int64_t huge = 0;
	int result;

	result = segment->sysv_id >= 0 ? inform_sysv(segment, &info) : inform_file(segment, &info);
	if (result == 0 && segment->base && segment->want_huge)
		huge = ayrei_map_huge_bytes(segment->base, segment->mapped_bytes);
	if (result == 0 && huge < 0)
		result = (int)huge;
	if (result < 0)
		return result;
	info.huge_bytes = (uint64_t)huge;
	return ayrei_result_copy(ret_info, &info, sizeof(info));
}
