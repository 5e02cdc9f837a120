/*
 * Any system call, by its number and without the C library's opinion of it: for those who ask the
 * kernel what it still gives.
 */
#pragma once

#include <sys/syscall.h>

/* KERNEL(openat, AT_FDCWD, path, O_RDONLY): zero or more, or a negative errno. */
#define KERNEL(name, ...) KERNEL_NUMBER(SYS_##name, __VA_ARGS__)
#define KERNEL_NUMBER(number, ...) \
	ayrei_kernel_call(number, (const long[6]){KERNEL_LONGS(__VA_ARGS__)})

/* Pointers and numbers alike, up to six. */
#define KERNEL_LONGS(...) \
	KERNEL_PICK(__VA_ARGS__, KERNEL_6, KERNEL_5, KERNEL_4, KERNEL_3, KERNEL_2, KERNEL_1, ) \
	(__VA_ARGS__)
#define KERNEL_PICK(a, b, c, d, e, f, chosen, ...) chosen
#define KERNEL_1(a)                                (long)(a)
#define KERNEL_2(a, ...)                           (long)(a), KERNEL_1(__VA_ARGS__)
#define KERNEL_3(a, ...)                           (long)(a), KERNEL_2(__VA_ARGS__)
#define KERNEL_4(a, ...)                           (long)(a), KERNEL_3(__VA_ARGS__)
#define KERNEL_5(a, ...)                           (long)(a), KERNEL_4(__VA_ARGS__)
#define KERNEL_6(a, ...)                           (long)(a), KERNEL_5(__VA_ARGS__)

long ayrei_kernel_call(long number, const long arguments[6]);

/* The doors to the same kernel that x86-64 has beside its own; -ENOSYS elsewhere. */
long ayrei_kernel_call_int80(long number, long a, long b, long c);
long ayrei_kernel_call_x32(long number, long a, long b, long c);
/* Calls that only x86-64 has; -ENOSYS elsewhere. */
long ayrei_kernel_call_iopl(int level);
long ayrei_kernel_call_ldt(void *buffer, unsigned long length);
/* A new process, or with flags whatever clone(2) makes of them; in both processes it returns. */
long ayrei_kernel_clone(unsigned long flags);
