/*
 * What the kernel knows beyond files and maps: time, randomness, identity, and how much memory there is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int64_t ayrei_realtime_ns(void);
/* Fills with random bytes; 0 or a negative errno. */
int ayrei_random(void *bytes, size_t length);
uint32_t ayrei_user(void);
int32_t ayrei_own_process(void);
/* Bytes of memory that the machine has to give, swap included; UINT64_MAX if there is no telling. */
uint64_t ayrei_memory_available(void);
/* That this thread may run on, 1 or more. */
int ayrei_processors_usable(void);
