/* The call that pulls the plug of a file system. */
#ifndef AYRE_TESTS_POWER_SHUTDOWN_H
#define AYRE_TESTS_POWER_SHUTDOWN_H

#include <stdint.h>
#include <sys/ioctl.h>

/* FS_IOC_SHUTDOWN of ext4, XFS and others; in no header of Debian 12's. Takes a uint32_t. */
#define SHUTDOWN _IOR('X', 125, uint32_t)

/* Do not write the log out first (EXT4_GOING_FLAGS_NOLOGFLUSH, XFS_FSOP_GOING_FLAGS_NOLOGFLUSH). */
#define SHUTDOWN_NO_LOG_FLUSH 2

#endif
