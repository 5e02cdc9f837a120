/*
 * Any system call. Nothing is retried and nothing is translated: the answer is the kernel's.
 */
#include "sys/kernel.h"

#include <errno.h>
#include <unistd.h>

#include "sys/raw.h"

/* Bit 30 of a number on x86-64: the same call with 32-bit pointers. */
#define X32_BIT 0x40000000

long ayrei_kernel_call(long number, const long arguments[6])
{
	long result = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
	                      arguments[4], arguments[5]);

	return result == -1 ? -errno : result;
}

long ayrei_kernel_clone(unsigned long flags)
{
	return ayrei_raw_call(SYS_clone, (long)flags, 0, 0, 0, 0);
}

#if defined(__x86_64__)

long ayrei_kernel_call_int80(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
	                 : "=a"(result)
	                 : "a"(number), "b"(a), "c"(b), "d"(c)
	                 : "r8", "r9", "r10", "r11", "memory");
	/* 32 bits come back. */
	return (int)result;
}

long ayrei_kernel_call_x32(long number, long a, long b, long c)
{
	return ayrei_raw_call(number | X32_BIT, a, b, c, 0, 0);
}

long ayrei_kernel_call_iopl(int level)
{
	return ayrei_raw_call(SYS_iopl, level, 0, 0, 0, 0);
}

long ayrei_kernel_call_ldt(void *buffer, unsigned long length)
{
	return ayrei_raw_call(SYS_modify_ldt, 0, (long)buffer, (long)length, 0, 0);
}

#elif defined(__aarch64__)

long ayrei_kernel_call_int80(long number, long a, long b, long c)
{
	(void)number, (void)a, (void)b, (void)c;
	return -ENOSYS;
}

long ayrei_kernel_call_x32(long number, long a, long b, long c)
{
	return ayrei_kernel_call_int80(number, a, b, c);
}

long ayrei_kernel_call_iopl(int level)
{
	(void)level;
	return -ENOSYS;
}

long ayrei_kernel_call_ldt(void *buffer, unsigned long length)
{
	(void)buffer, (void)length;
	return -ENOSYS;
}

#endif
