/*
 * The C library's allocator, with a memory of its own: that there was none to be had.
 *
 * A process whose malloc(3) fails dies somewhere else, of a signal that says nothing of it: of a
 * null pointer, of abort(3). So the calls pass through here; the dynamic linker finds these names before
 * the library's, for the module and for what it needs.
 *
 * Invariant: nothing is done but to pass on and to look at the answer.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "worker/zygote.h"

#define EXPORTED __attribute__((visibility("default")))

/* By these names the GNU C library exports them for this purpose. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

static volatile bool was_refused;

bool ayrei_zygote_heap_is_full(void)
{
	return was_refused;
}

static void *look(void *memory, size_t bytes)
{
	if (!memory && bytes > 0)
		was_refused = true;
	return memory;
}

EXPORTED void *malloc(size_t bytes)
{
	return look(__libc_malloc(bytes), bytes);
}

EXPORTED void *calloc(size_t count, size_t bytes)
{
	return look(__libc_calloc(count, bytes), count && bytes);
}

EXPORTED void *realloc(void *old, size_t bytes)
{
	return look(__libc_realloc(old, bytes), bytes);
}

EXPORTED void *memalign(size_t alignment, size_t bytes)
{
	return look(__libc_memalign(alignment, bytes), bytes);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t bytes)
{
	return look(__libc_memalign(alignment, bytes), bytes);
}

EXPORTED int posix_memalign(void **ret_memory, size_t alignment, size_t bytes)
{
	void *memory;

	if (alignment < sizeof(void *) || alignment & (alignment - 1))
		return EINVAL;
	memory = look(__libc_memalign(alignment, bytes), bytes);
	if (!memory && bytes > 0)
		return ENOMEM;
	*ret_memory = memory;
	return 0;
}
