/*
 * What the kernel knows beyond files and memory: time, randomness, identity.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int64_t ayrei_realtime_ns(void);
/* Fills with random bytes; 0 or a negative errno. */
int ayrei_random(void *bytes, size_t length);
uint32_t ayrei_user(void);
int32_t ayrei_own_process(void);
