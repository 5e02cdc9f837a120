/*
 * The version of the library, as the build knows it.
 */
#include <ayre/version.h>

const char *ayre_version(void)
{
	return AYRE_VERSION;
}
