/*
 * System calls by their numbers, which differ between architectures.
 */
#pragma once

#include "sys/activity.h"

/* What a process that sleeps in this call waits for; -1: in none (a page fault, say). */
enum ayrei_blocked ayrei_activity_call(long number);
