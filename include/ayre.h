/*
 * ayre: what two processes on one Linux machine need to talk.
 *
 * This header brings in every module; each can be included alone.
 */
#pragma once

#include <ayre/error.h>
#include <ayre/guard.h>
#include <ayre/segment.h>
#include <ayre/segment_list.h>
#include <ayre/version.h>
