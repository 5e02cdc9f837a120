/*
 * What `ayre topic list` and `show` share.
 *
 *   topic_list.c  the commands, and what people read
 *   topic_json.c  the same for programs
 */
#pragma once

#include <ayre.h>

/* As --sync has it; NULL: the topic is not durable, or not whole. */
const char *topic_sync_name(const struct ayre_topic_entry *entry);

/* Each returns an exit code. */
int topic_print_list_json(const struct ayre_topic_list *list);
int topic_print_look_json(const struct ayre_topic_look *look);
