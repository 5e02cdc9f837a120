/*
 * The tiers: a kernel that lacks something, made by a filter that says so in its place.
 */
#pragma once

#include "escape/escape.h"

/* The layers that the policy of this tier does without. */
uint32_t escape_tier_without(enum escape_tier tier);
/* From now on the kernel is, for this process, as the tier says. 0 or a negative errno. */
int escape_tier_enter(enum escape_tier tier);
