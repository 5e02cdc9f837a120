/*
 * What every public header of ayre needs: C linkage for C++, exported
 * visibility, and the attribute for results that must not be ignored.
 * Nothing here is meant for direct use by programs.
 */
#pragma once

#ifdef __cplusplus
#define AYRE_BEGIN_DECLARATIONS \
	_Pragma("GCC visibility push(default)") extern "C" \
	{
#define AYRE_END_DECLARATIONS \
	} \
	_Pragma("GCC visibility pop")
#else
#define AYRE_BEGIN_DECLARATIONS _Pragma("GCC visibility push(default)")
#define AYRE_END_DECLARATIONS   _Pragma("GCC visibility pop")
#endif

/* Every call that can fail carries this: an ignored error is a warning. */
#define AYRE_MUST_CHECK __attribute__((warn_unused_result))
