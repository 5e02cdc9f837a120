/*
 * Segments: memory that several processes share under a name.
 *
 * One interface over four backings; the name chooses:
 *
 *   sysv:PATH[:LETTER]  System V shared memory, key from ftok(3) (LETTER: R)
 *   sysv:0xKEY          System V shared memory, the key itself
 *   shm:NAME            POSIX shared memory; also a bare word
 *   file:PATH           a mapped file; also any word with a slash
 *   NULL                anonymous (a memfd), passed on by its descriptor
 *
 * A segment holds exactly the bytes asked for, so that programs which know
 * nothing of ayre can share it. With a tag it is typed: ayre's header stands
 * in front (docs/FORMAT.md), and the tag is checked whenever it is opened.
 *
 * Creation cannot be observed half-done: of many processes that open one name
 * at once exactly one creates and initialises the segment, everybody else sees
 * it initialised, and a creator that dies on the way leaves nothing that
 * another has to wait for.
 *
 * A handle belongs to one thread at a time. What it points to is shared memory:
 * order your accesses with the atomics of your language.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/api.h>
#include <ayre/error.h>

AYRE_BEGIN_DECLARATIONS

/* An open segment, local to this process. */
struct ayre_segment;

enum ayre_backing {
	AYRE_BACKING_SYSV = 1,
	AYRE_BACKING_SHM = 2,
	AYRE_BACKING_FILE = 3,
	AYRE_BACKING_MEMFD = 4,
};

/* The longest tag, in bytes, without its NUL. */
#define AYRE_SEGMENT_TAG_MAX 191

/* Flags of struct ayre_segment_options. */
enum ayre_segment_flags {
	/* Make the segment if it is missing. */
	AYRE_SEGMENT_CREATE = 1u << 0,
	/* With CREATE: fail with -EEXIST if it is there already. */
	AYRE_SEGMENT_EXCLUSIVE = 1u << 1,
	/* The pages are mapped read-only: a store to them ends in SIGSEGV. */
	AYRE_SEGMENT_READ_ONLY = 1u << 2,
	/* Take every byte as data, also a header of ayre's. */
	AYRE_SEGMENT_RAW = 1u << 3,
	/*
	 * Ask for transparent huge pages (memory backings only). A wish: what
	 * was granted is in ayre_segment_info.huge_bytes.
	 */
	AYRE_SEGMENT_HUGE = 1u << 4,
	/* Touch every page now instead of at its first use. */
	AYRE_SEGMENT_POPULATE = 1u << 5,
	/*
	 * Map the data twice in a row: a read or write that runs over the end
	 * goes on at the beginning. Data size: a multiple of the page size. Not
	 * for System V; a mirrored segment cannot grow.
	 */
	AYRE_SEGMENT_MIRRORED = 1u << 6,
	/*
	 * Anonymous segments only: no map made after this call can write, so
	 * that whoever gets the descriptor can read and nothing else.
	 */
	AYRE_SEGMENT_SOLE_WRITER = 1u << 7,
};

/**
 * How to open a segment. All zero opens an existing one for reading and writing.
 *
 * Set size to sizeof(struct ayre_segment_options); fields behind the size
 * that a caller was compiled with count as zero.
 */
struct ayre_segment_options {
	size_t size;
	uint32_t flags; /* enum ayre_segment_flags */
	/*
	 * Permission bits of a segment that this call creates, of those in 0666; 0
	 * means 0644. They are set as given: the umask does not apply.
	 */
	uint32_t mode;
	/*
	 * Bytes of data. Needed to create; of an existing segment, the least
	 * that will do (-EMSGSIZE if it holds fewer).
	 */
	uint64_t size_bytes;
	/*
	 * Address space to keep, in bytes of data, so that the segment can grow
	 * up to here in place, without moving ayre_segment_data(). It costs no
	 * memory. 0: no more than the size. Not for System V, which cannot grow.
	 */
	uint64_t reserve_bytes;
	/*
	 * 1 to AYRE_SEGMENT_TAG_MAX bytes, borrowed for the call. A segment that
	 * is created gets a header with this tag; an existing one has to have
	 * it, or the call fails with -EMEDIUMTYPE. NULL creates a raw segment
	 * and opens any: the data of a typed one begin behind its header.
	 */
	const char *tag;
	/*
	 * Called by the one process that creates the segment, with the zeroed
	 * data, before anybody else can see it. Returns 0, or a negative errno
	 * which undoes the creation and is returned. It must not open the same
	 * name. May be NULL.
	 *
	 * If the initialiser's process dies, the next creator's is called, on a
	 * segment of zeros again. (Where two users race for one file, the loser's
	 * may have run too, on memory that nobody sees.)
	 *
	 * (System V has no way to publish a segment whole: ayre's own openers
	 * wait for the initialiser, a program that calls shmat(2) by itself
	 * does not.)
	 */
	int (*initialize)(void *data, size_t data_bytes, void *context);
	void *context;
};

/**
 * ayre_segment_open() - open a segment, or create it
 * @options: borrowed; NULL means all zero
 * @name: as above, borrowed; NULL makes an anonymous segment (CREATE is implied)
 * @ret_segment: the handle, to be closed with ayre_segment_close()
 * @error: says which step failed and why; may be NULL
 *
 * The space is allocated at creation: a full file system is -ENOSPC here and
 * never a SIGBUS later. (System V memory is promised by the kernel's accounting,
 * or touched at once with POPULATE. A sparse file made by somebody else is as it
 * is: ayre_segment_write() into a hole reports -ENOSPC, a pointer cannot.) As of
 * any write, RLIMIT_FSIZE is -EFBIG to a process that ignores SIGXFSZ.
 *
 * Blocks only while another process creates the same segment, if that is work: an
 * initialiser, or 1 MiB or more. The wait ends when the kernel says that process
 * is dead.
 *
 * Returns 1 if this call created the segment, 0 if it was there, or
 *   -ENOENT       it is missing, and CREATE was not asked for
 *   -EEXIST       it is there, and EXCLUSIVE was asked for
 *   -ENOSPC       no room on the file system, or no System V segment left
 *   -EMSGSIZE     it holds fewer bytes than size_bytes
 *   -EMEDIUMTYPE  its tag differs, or it has none
 *   -EPROTO       its header is damaged
 *   -EACCES       no permission
 *   -EOPNOTSUPP   this backing cannot do what the flags ask for
 *   -EINVAL       the name, the size or the flags can never be right
 *   -EISDIR, -ENODEV, -ELOOP, -ENAMETOOLONG  the name leads to no regular file
 *   -EPERM        a dead user's unfinished System V segment is in the way
 *   -ENOMEM       also: an anonymous one is larger than what the machine has to give
 * Since 0.1.
 */
int ayre_segment_open(const struct ayre_segment_options *options, const char *name,
                      struct ayre_segment **ret_segment, struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_segment_open_fd() - open a segment that came as a descriptor
 * @options: as above; the flags READ_ONLY, RAW, HUGE, POPULATE and MIRRORED apply
 * @fd: of a memfd or a regular file; borrowed, the handle keeps a duplicate
 *
 * A memfd has to be sealed against shrinking, which those of ayre are: what
 * another process could cut away under a pointer is refused with -EPERM. A
 * regular file is taken as it is; see ayre/guard.h. A memfd that is sealed
 * against writing opens with READ_ONLY only (-EPERM otherwise).
 *
 * Returns 0 or a negative errno, as above. Since 0.1.
 */
int ayre_segment_open_fd(const struct ayre_segment_options *options, int fd,
                         struct ayre_segment **ret_segment, struct ayre_error *error)
	AYRE_MUST_CHECK;

/**
 * ayre_segment_close() - unmap a segment and free its handle
 * @segment: NULL does nothing
 *
 * The segment itself stays, with its bytes, until it is removed (or, if it is
 * anonymous, until the last process has let it go). Never fails; errno is kept.
 * Since 0.1.
 */
void ayre_segment_close(struct ayre_segment *segment);

/**
 * ayre_segment_remove() - take a segment's name away
 * @name: as for ayre_segment_open(); borrowed
 *
 * Processes that have it mapped keep it; the memory or file is freed when the
 * last of them lets go. Only a segment is removed: -EINVAL for a directory, a
 * device or another special file.
 *
 * Returns 0 or a negative errno (-ENOENT, -EACCES, -EPERM). Since 0.1.
 */
int ayre_segment_remove(const char *name, struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_segment_data() - the bytes
 *
 * Valid until the segment is closed, and, unless address space was reserved,
 * until ayre_segment_resize() or ayre_segment_refresh() says that it moved.
 * NULL if the segment is empty.
 */
void *ayre_segment_data(const struct ayre_segment *segment);

/** ayre_segment_size() - how many bytes of data this handle can use */
size_t ayre_segment_size(const struct ayre_segment *segment);

/** ayre_segment_backing() - what kind it is */
enum ayre_backing ayre_segment_backing(const struct ayre_segment *segment);

/**
 * ayre_segment_fd() - the descriptor behind the segment
 *
 * Borrowed; close-on-exec. To be passed to another process (SCM_RIGHTS, or kept
 * over fork), to be watched, never to be truncated.
 *
 * Returns the descriptor, or -EOPNOTSUPP for System V. Since 0.1.
 */
int ayre_segment_fd(const struct ayre_segment *segment) AYRE_MUST_CHECK;

/** ayre_segment_tag() - the tag, or NULL if the segment is raw; valid until it is closed */
const char *ayre_segment_tag(const struct ayre_segment *segment);

/**
 * ayre_segment_read() - copy bytes out, whatever others do to the file
 * ayre_segment_write() - copy bytes in, likewise
 * @offset: in bytes of data
 * @buffer: borrowed; @length bytes
 *
 * All or an error. They go through the kernel where the segment could be cut
 * short by somebody else, and so need no guard. What they write is seen at
 * once through every map, and wakes programs that watch the file with
 * inotify(7), which stores through a pointer do not.
 *
 * Returns 0, or
 *   -ERANGE  offset and length reach beyond ayre_segment_size()
 *   -ESTALE  the file is shorter than that by now
 *   -ENOSPC  a hole in somebody's sparse file could not be filled; the bytes
 *            before it may be written
 *   -EACCES  write: the handle is read-only
 * Since 0.1.
 */
int ayre_segment_read(const struct ayre_segment *segment, uint64_t offset, void *buffer,
                      size_t length) AYRE_MUST_CHECK;
int ayre_segment_write(struct ayre_segment *segment, uint64_t offset, const void *buffer,
                       size_t length) AYRE_MUST_CHECK;

/**
 * ayre_segment_check() - did anybody cut the segment short under its pointer?
 *
 * Asks the kernel for the file's size, and the guard, where it is installed,
 * whether a page was lost.
 *
 * Returns 0, or -ESTALE: some bytes are gone, or were for a while. Since 0.1.
 */
int ayre_segment_check(const struct ayre_segment *segment) AYRE_MUST_CHECK;

enum ayre_sync {
	/* Write to the device and wait until it says that it is done. */
	AYRE_SYNC_WAIT = 0,
	/* Let the kernel write when it likes, which it does anyway (msync(2), MS_ASYNC). */
	AYRE_SYNC_ASYNC = 1,
	/* As WAIT, and let every other map of the file see it (MS_INVALIDATE; on Linux they do). */
	AYRE_SYNC_INVALIDATE = 2,
};

/**
 * ayre_segment_sync() - bring a file's bytes to its disk
 * @offset: in bytes of data
 * @length: 0 means up to the end
 * @how: one of the three
 *
 * Takes the bytes of every process that writes the file, not only this one's.
 * When WAIT or INVALIDATE has returned 0, the bytes, and the name of the
 * file, survive a crash of the machine.
 *
 * After a write-back error the kernel drops the bytes that it could not write and
 * would call the next attempt a success. A handle therefore stays failed: every
 * later call returns the same error. (A handle that is opened later does not know,
 * because the kernel has forgotten.) What to do: write it again into a new segment.
 * The failed one may go on losing what is stored in it: ext4 can lose even what a
 * later sync called written, where the first write of a page had failed.
 *
 * Returns 0; 1 if the segment lives in memory (System V, POSIX, anonymous, a
 * file on tmpfs), so that there is no disk to bring it to and it is gone
 * with the machine; or
 *   -EIO, -ENOSPC, ...  write-back failed: the bytes are not on the disk
 *   -ERANGE             offset and length reach beyond the segment
 *   -EBUSY              INVALIDATE, and some page is locked in memory (mlock(2))
 * Since 0.1.
 */
int ayre_segment_sync(struct ayre_segment *segment, uint64_t offset, uint64_t length,
                      enum ayre_sync how) AYRE_MUST_CHECK;

/**
 * ayre_segment_resize() - make a segment larger or smaller
 * @size_bytes: of data
 *
 * Growing never disturbs the others: their maps and bytes stay, and they get the
 * new part with ayre_segment_refresh(), in place if they reserved address
 * space. The space is allocated: -ENOSPC changes nothing. Two processes may grow
 * a segment at once; the larger size stays.
 *
 * Shrinking takes pages away from whoever uses them; an anonymous segment
 * refuses it (-EPERM). Be sure that nobody has the segment mapped.
 *
 * Returns 1 if ayre_segment_data() has moved, 0 if not, or
 *   -EOPNOTSUPP  System V and mirrored segments have one size for life, and
 *                this file system may be unable to promise space
 *   -ENOSPC      no room; -ENOMEM: more than the machine has, of an anonymous one
 * Since 0.1.
 */
int ayre_segment_resize(struct ayre_segment *segment, uint64_t size_bytes, struct ayre_error *error)
	AYRE_MUST_CHECK;

/**
 * ayre_segment_refresh() - see what another process made of the size
 *
 * Costs one system call when nothing has changed.
 *
 * Returns 1 if ayre_segment_data() has moved, 0 if not, -ESTALE if the segment is
 * smaller than this handle's view (close it; the bytes behind its end are
 * gone), or a negative errno of mmap(2). Since 0.1.
 */
int ayre_segment_refresh(struct ayre_segment *segment) AYRE_MUST_CHECK;

/**
 * What there is to know about an open segment. Set size to
 * sizeof(struct ayre_segment_info); no field beyond it is touched.
 */
struct ayre_segment_info {
	size_t size;
	enum ayre_backing backing;
	bool typed;              /* it has a header of ayre's */
	bool removed;            /* the name it had is gone; it lives as long as its users */
	uint64_t size_bytes;     /* of data, now */
	uint64_t header_bytes;   /* in front of the data: 0 if raw */
	uint64_t resident_bytes; /* in memory or, for a file on a disk, allocated there */
	uint64_t huge_bytes;     /* of this map, on huge pages; 0 unless HUGE was asked for */
	uint32_t mode;           /* permission bits */
	uint32_t uid;
	uint32_t gid;
	int64_t key;     /* System V: the key; else -1 */
	int64_t id;      /* System V: the id that shmat(2) takes; else -1 */
	uint64_t device; /* else: st_dev and st_ino */
	uint64_t inode;
	/* CLOCK_REALTIME: the last change that the kernel noticed; System V: or attach, or detach. */
	int64_t changed_ns;
	int64_t created_ns; /* CLOCK_REALTIME: from the header; -1 if raw */
};

/**
 * ayre_segment_get_info() - fill in what is known
 *
 * Returns 0, -EINVAL if the struct's size is not set, or a negative errno of
 * the kernel. Since 0.1.
 */
int ayre_segment_get_info(const struct ayre_segment *segment, struct ayre_segment_info *ret_info)
	AYRE_MUST_CHECK;

AYRE_END_DECLARATIONS
