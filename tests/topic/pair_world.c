/*
 * Lanes without a name in tests.
 */
#include "topic/pair_world.h"

#include <fcntl.h>

struct ayre_publisher *pair_to(struct ayre_ends *ends)
{
	struct ayre_publisher *publisher;

	require(ayre_publisher_open_pair(PUBLISHER(RING(4096)), &publisher, ends, NULL) == 0);
	for (int i = 0; i < AYRE_ENDS_COUNT; i++)
		require(fcntl(ends->fds[i], F_GETFD) == FD_CLOEXEC);
	return publisher;
}

struct ayre_subscriber *pair_from(struct ayre_ends *ends, uint32_t flags)
{
	struct ayre_subscriber *subscriber;

	require(ayre_subscriber_open_pair(SUBSCRIBER(RING(4096), .flags = flags), &subscriber, ends,
	                                  NULL) == 0);
	for (int i = 0; i < AYRE_ENDS_COUNT; i++)
		require(fcntl(ends->fds[i], F_GETFD) == FD_CLOEXEC);
	return subscriber;
}

struct ayre_publisher *publish_ends(const struct ayre_ends *ends)
{
	struct ayre_publisher *publisher;
	struct ayre_error error = {0};
	int result = ayre_publisher_open_ends(NULL, ends, &publisher, &error);

	if (result < 0)
		fprintf(stderr, "%s: %s\n", error.step, strerror(-result));
	require(result == 0);
	/* Taken. */
	for (int i = 0; i < AYRE_ENDS_COUNT; i++)
		require(fcntl(ends->fds[i], F_GETFD) == -1 || ends->fds[i] < 0);
	return publisher;
}

struct ayre_subscriber *subscribe_ends(const struct ayre_ends *ends, uint32_t flags)
{
	struct ayre_subscriber *subscriber;
	struct ayre_error error = {0};
	int result =
		ayre_subscriber_open_ends(SUBSCRIBER(.flags = flags), ends, &subscriber, &error);

	if (result < 0)
		fprintf(stderr, "%s: %s\n", error.step, strerror(-result));
	require(result == 0);
	return subscriber;
}
