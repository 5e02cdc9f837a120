/*
 * Address space and memory files: thin verbs over the system calls.
 *
 * Invariant: a map that was made is made whole. What fails half-way is undone
 * before the error is returned.
 */
#include "sys/map.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/result.h"

/* MFD_NOEXEC_SEAL of <linux/memfd.h>, newer than Debian 12's headers. */
#define NOEXEC_SEAL 0x0008U

static int protection(bool writable)
{
	return writable ? PROT_READ | PROT_WRITE : PROT_READ;
}

static int map_at(void *hint, size_t length, int prot, int flags, int fd, size_t offset,
                  void **ret_address)
{
	void *address = mmap(hint, length, prot, flags, fd, (off_t)offset);

	if (address == MAP_FAILED)
		return -errno;
	*ret_address = address;
	return 0;
}

size_t ayrei_page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int ayrei_map_shared(int fd, size_t length, bool writable, void **ret_address)
{
	return map_at(NULL, length, protection(writable), MAP_SHARED, fd, 0, ret_address);
}

int ayrei_map_private(int fd, size_t length, void **ret_address)
{
	return map_at(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0, ret_address);
}

int ayrei_map_mirrored(int fd, size_t head_bytes, size_t data_bytes, bool writable,
                       void **ret_address)
{
	size_t length = head_bytes + 2 * data_bytes;
	int prot = protection(writable);
	void *base = NULL, *ignored;
	int result;

	/* First the address space as a whole, then both maps over it. */
	result = map_at(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0,
	                &base);
	if (result < 0)
		return result;
	result = map_at(base, head_bytes + data_bytes, prot, MAP_SHARED | MAP_FIXED, fd, 0,
	                &ignored);
	if (result == 0)
		result = map_at((char *)base + head_bytes + data_bytes, data_bytes, prot,
		                MAP_SHARED | MAP_FIXED, fd, head_bytes, &ignored);
	if (result < 0) {
		ayrei_unmap(base, length);
		return result;
	}
	*ret_address = base;
	return 0;
}

int ayrei_map_resize(void *address, size_t length, size_t new_length, void **ret_address)
{
	void *moved = mremap(address, length, new_length, MREMAP_MAYMOVE);

	if (moved == MAP_FAILED)
		return -errno;
	*ret_address = moved;
	return 0;
}

void ayrei_unmap(void *address, size_t length)
{
	int saved = errno;

	if (address && length)
		munmap(address, length);
	errno = saved;
}

int ayrei_map_keep_from_children(void *address, size_t length)
{
	return AYREI_RESULT(madvise(address, length, MADV_DONTFORK));
}

int ayrei_map_want_huge(void *address, size_t length)
{
	return AYREI_RESULT(madvise(address, length, MADV_HUGEPAGE));
}

int64_t ayrei_map_huge_bytes(const void *address, size_t length)
{
	unsigned long begin = (unsigned long)address, end = begin + length;
	unsigned long from, to, kilobytes;
	int64_t total = 0;
	bool inside = false;
	char line[512];
	FILE *smaps = fopen("/proc/self/smaps", "re");

	if (!smaps)
		return -errno;
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from >= begin && from < end;
		else if (inside && (sscanf(line, "ShmemPmdMapped: %lu kB", &kilobytes) == 1 ||
		                    sscanf(line, "FilePmdMapped: %lu kB", &kilobytes) == 1))
			total += (int64_t)kilobytes * 1024;
	}
	fclose(smaps);
	return total;
}

int ayrei_map_populate(void *address, size_t length, bool writable)
{
	return AYREI_RESULT(
		madvise(address, length, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ));
}

int ayrei_map_punch(void *address, size_t length)
{
	return AYREI_RESULT(madvise(address, length, MADV_REMOVE));
}

int ayrei_map_sync(void *address, size_t length, enum ayrei_map_sync how)
{
	static const int flags[] = {
		[AYREI_MAP_SYNC_WAIT] = MS_SYNC,
		[AYREI_MAP_SYNC_ASYNC] = MS_ASYNC,
		[AYREI_MAP_SYNC_INVALIDATE] = MS_SYNC | MS_INVALIDATE,
	};

	return AYREI_RESULT(msync(address, length, flags[how]));
}

int ayrei_map_zeros(void *address, size_t length, bool writable)
{
	void *ignored;

	return map_at(address, length, protection(writable),
	              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, &ignored);
}

int ayrei_memory_file(const char *name)
{
	int fd = AYREI_RESULT(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | NOEXEC_SEAL));

	/* Kernels before 6.3 do not know that memory need not be executable. */
	if (fd == -EINVAL)
		fd = AYREI_RESULT(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
	return fd;
}

int ayrei_memory_file_seal(int fd, bool sole_writer, bool may_grow)
{
	int seals = F_SEAL_SHRINK | F_SEAL_SEAL | (sole_writer ? F_SEAL_FUTURE_WRITE : 0) |
	            (may_grow ? 0 : F_SEAL_GROW);

	return AYREI_RESULT(fcntl(fd, F_ADD_SEALS, seals));
}

int ayrei_memory_file_seals(int fd)
{
	int seals = AYREI_RESULT(fcntl(fd, F_GET_SEALS));

	/* -EINVAL: a file of another kind, which has none. */
	if (seals < 0)
		return seals == -EINVAL ? 0 : seals;
	return ((seals & F_SEAL_SHRINK) ? AYREI_SEALED_SHRINK : 0) |
	       ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) ? AYREI_SEALED_WRITE : 0);
}
