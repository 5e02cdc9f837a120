/*
 * What publisher.c sends and subscriber.c and event_loop.c receive. Its tag is the topic's: who takes
 * the messages for something else cannot open it.
 */
#pragma once

#include <stdint.h>

#define PRICE_TAG "price 1"

struct price {
	char what[16]; /* not always with a NUL */
	uint64_t number;
	int64_t cents;
};
