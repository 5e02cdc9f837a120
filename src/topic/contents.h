/*
 * What may lie in the directory of a topic.
 */
#pragma once

#include <stdbool.h>

#include "topic/directory.h"

#define AYREI_FOREIGN_BYTES 128

/*
 * 0, or -ENOTEMPTY: something else lies in it, whose name is in foreign. is_reply: the topic is one of a
 * service's replies, which has no such topics in it.
 */
int ayrei_contents_check(const struct ayrei_topic *topic, bool is_reply,
                         char foreign[static AYREI_FOREIGN_BYTES]);
