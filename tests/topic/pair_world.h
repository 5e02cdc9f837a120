/*
 * Lanes without a name in tests: pairs that open, with ends as they should be.
 */
#pragma once

#include "topic/topic_world.h"

/* What the descriptors are: docs/FORMAT.md. */
enum { LANE, CURSOR, OWN_BELL, OTHER_BELL };

struct ayre_publisher *pair_to(struct ayre_ends *ends);
struct ayre_subscriber *pair_from(struct ayre_ends *ends, uint32_t flags);
/* The other end, which takes them. */
struct ayre_publisher *publish_ends(const struct ayre_ends *ends);
struct ayre_subscriber *subscribe_ends(const struct ayre_ends *ends, uint32_t flags);
