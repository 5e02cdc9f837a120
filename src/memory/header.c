/*
 * The header in front of a typed segment.
 *
 * Invariant: a header is judged in a private copy. What another process stores into the
 * segment afterwards changes nothing that was decided.
 */
#include "memory/header.h"

#include <errno.h>
#include <string.h>

#include "sys/map.h"
#include "sys/system.h"

uint32_t ayrei_segment_header_bytes(void)
{
	size_t page = ayrei_page_bytes();

	return page > AYREI_SEGMENT_HEADER_UNIT ? (uint32_t)page : AYREI_SEGMENT_HEADER_UNIT;
}

int ayrei_segment_header_init(struct ayrei_segment_header *header, const char *tag)
{
	struct ayrei_segment_header made = {
		.magic = AYREI_SEGMENT_MAGIC,
		.version = AYREI_SEGMENT_VERSION,
		.header_bytes = ayrei_segment_header_bytes(),
		.created_ns = ayrei_realtime_ns(),
		.tag_bytes = (uint32_t)strlen(tag),
	};
	int result = ayrei_random(made.generation, sizeof(made.generation));

	if (result < 0)
		return result;
	memcpy(made.tag, tag, made.tag_bytes);
	*header = made;
	return 0;
}

static const char *find_problem(const struct ayrei_segment_header *copy, uint64_t total_bytes)
{
	if (copy->version != AYREI_SEGMENT_VERSION)
		return "its header has a version that this ayre does not know";
	if (copy->incompatible_features != 0)
		return "its header asks for features that this ayre does not know";
	if (copy->header_bytes == 0 || copy->header_bytes % AYREI_SEGMENT_HEADER_UNIT != 0 ||
	    copy->header_bytes > total_bytes)
		return "its header is damaged: impossible size";
	if (copy->tag_bytes == 0 || copy->tag_bytes > AYRE_SEGMENT_TAG_MAX ||
	    strnlen(copy->tag, sizeof(copy->tag)) != copy->tag_bytes)
		return "its header is damaged: impossible tag";
	return NULL;
}

int ayrei_segment_header_check(const struct ayrei_segment_header *copy, uint64_t total_bytes,
                               const char **ret_problem)
{
	static const char magic[8] = AYREI_SEGMENT_MAGIC;

	if (total_bytes < sizeof(*copy) || memcmp(copy->magic, magic, sizeof(magic)) != 0)
		return 0;
	*ret_problem = find_problem(copy, total_bytes);
	return *ret_problem ? -EPROTO : 1;
}
