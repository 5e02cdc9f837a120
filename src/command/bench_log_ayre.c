/*
 * Topics as logs: one in memory, which is the floor of what a publisher pays.
 */
#include <ayre.h>

#include "command/bench_log.h"

static int open_volatile(const struct log_store_options *options, void **ret_log)
{
	struct ayre_publisher *publisher;
	int result = ayre_publisher_open(NULL, options->path, &publisher, NULL);

	if (result == 0)
		*ret_log = publisher;
	return result;
}

static void close_volatile(void *log)
{
	ayre_publisher_close(log);
}

static int append_volatile(void *log, uint64_t first, const struct log_message *messages,
                           size_t count)
{
	int result = 0;

	(void)first;
	for (size_t i = 0; result == 0 && i < count; i++)
		result = ayre_publisher_send(log, messages[i].bytes, sizeof(messages[i].bytes));
	return result;
}

/* It keeps the newest alone, so there is nothing to look for. */
const struct log_store bench_log_volatile = {
	.open = open_volatile,
	.close = close_volatile,
	.append = append_volatile,
};
