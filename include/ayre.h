/*
 * ayre: what two processes on one Linux machine need to talk.
 *
 * This header brings in every module; each can be included alone.
 */
#pragma once

#include <ayre/error.h>
#include <ayre/guard.h>
#include <ayre/machine.h>
#include <ayre/pipe.h>
#include <ayre/pipeline.h>
#include <ayre/process.h>
#include <ayre/segment.h>
#include <ayre/segment_list.h>
#include <ayre/service.h>
#include <ayre/topic.h>
#include <ayre/topic_list.h>
#include <ayre/topic_log.h>
#include <ayre/version.h>
#include <ayre/worker.h>
