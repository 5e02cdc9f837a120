/*
 * A module that needs a function which nobody has.
 */
#include <ayre/module.h>

int nobody_has_this(void);
int call_it(const struct ayre_request *request, struct ayre_reply *reply);

__attribute__((visibility("default"))) int call_it(const struct ayre_request *request,
                                                   struct ayre_reply *reply)
{
	(void)request;
	(void)reply;
	return nobody_has_this();
}
