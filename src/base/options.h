/*
 * Structs of options: the caller's may be older and shorter, or newer and longer, than ours.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <string.h>

/*
 * Copies what both sides know; the rest of ours is zero. given begins with its own size_t size;
 * NULL means all zero. Returns 0 or -EINVAL: the size was not set.
 */
static inline int ayrei_options_copy(void *copy, size_t copy_bytes, const void *given)
{
	size_t known;

	memset(copy, 0, copy_bytes);
	if (!given)
		return 0;
	memcpy(&known, given, sizeof(known));
	if (known < sizeof(known))
		return -EINVAL;
	memcpy(copy, given, known < copy_bytes ? known : copy_bytes);
	return 0;
}

/* The other way: to a struct of the caller's, what it has room for. -EINVAL: the size was not set. */
static inline int ayrei_result_copy(void *ret, const void *ours, size_t our_bytes)
{
	size_t known;

	memcpy(&known, ret, sizeof(known));
	if (known < sizeof(known))
		return -EINVAL;
	memcpy((char *)ret + sizeof(known), (const char *)ours + sizeof(known),
	       (known < our_bytes ? known : our_bytes) - sizeof(known));
	return 0;
}
