/*
 * Which ayre this is.
 */
#pragma once

#include <ayre/api.h>

/* The version these headers belong to. */
#define AYRE_VERSION "0.1.0"

AYRE_BEGIN_DECLARATIONS

/**
 * ayre_version() - the version of the library that runs
 *
 * It can be newer than AYRE_VERSION, which the program was compiled with.
 *
 * Returns a static string, "MAJOR.MINOR.PATCH". Never fails. Since 0.1.
 */
const char *ayre_version(void);

AYRE_END_DECLARATIONS
