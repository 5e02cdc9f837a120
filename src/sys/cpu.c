/*
 * The processor: the one verb that takes the kernel.
 */
#include "sys/cpu.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/result.h"

#ifdef AYREI_THREAD_SANITIZER
unsigned int ayrei_fence_word;
#endif

static int membarrier(int command)
{
	return (int)AYREI_RESULT(syscall(SYS_membarrier, command, 0, 0));
}

int ayrei_barrier_register(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

int ayrei_barrier_others(void)
{
	return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

bool ayrei_barrier_is_known(void)
{
	int commands = membarrier(MEMBARRIER_CMD_QUERY);

	return commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}
