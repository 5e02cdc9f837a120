/*
 * A module for the tests of ayre bench worker: it answers, and what it answers is wrong in one byte.
 */
#include <string.h>

#include "command/bench_module.h"

int bench_echo(const struct ayre_request *request, struct ayre_reply *reply)
{
	char *answer = reply->data;

	if (request->bytes == 0 || request->bytes > reply->capacity)
		return 1;
	memcpy(answer, request->data, request->bytes);
	answer[request->bytes - 1] ^= 1;
	reply->bytes = request->bytes;
	return 0;
}
