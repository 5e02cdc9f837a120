/*
 * Threads of the library's own, where a caller asked for one.
 */
#pragma once

#include <pthread.h>

/* No signal of the host's is handled on it. 0 or a negative errno. */
int ayrei_thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context);
/* Waits for its end. */
void ayrei_thread_join(pthread_t thread);
