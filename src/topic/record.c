/*
 * The checks of durable records.
 */
#include "topic/record.h"

#include "topic/record_check.h"

uint64_t ayrei_record_check(uint64_t key, uint64_t position, uint64_t header, const char *bytes)
{
	return ayrei_record_check_inline(key, position, header, bytes);
}

bool ayrei_record_is_whole(uint64_t key, uint64_t position, uint64_t header, const char *bytes)
{
	return ayrei_record_is_whole_inline(key, position, header, bytes);
}
