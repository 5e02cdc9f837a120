/*
 * The floor of the other peers: a cache line, a ring with an index for each side, a futex.
 */
#include <linux/futex.h>
#include <sys/syscall.h>

#include "peer.h"

/* Each index in lines of its own. The near one makes the memory before it forks. */
struct raw {
	uint64_t written[2][16] __attribute__((aligned(128)));
	uint64_t read[2][PEER_READERS_MAX][16];
	uint32_t bells[2][32];
	char slots[2][4 << 20] __attribute__((aligned(4096)));
};

static struct raw *raw;
static uint64_t slot_count, slot_bytes;
static bool is_line; /* a word in a line, and no message */
static unsigned int out, in;
static uint64_t peer_read, peer_written;

/* Asked before the fork: a good place to make what is shared. */
static const char *peer_left_out(const struct peer *peer)
{
	if (raw)
		return NULL;
	if (strcmp(peer->mode, "open") == 0)
		return "the floor of this stands in `ayre bench topic/open`";
	raw = (struct raw *)mmap(NULL, sizeof(*raw), PROT_READ | PROT_WRITE,
	                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (raw == MAP_FAILED)
		peer_fail("mmap");
	is_line = strcmp(peer->mode, "round") == 0;
	slot_bytes = (peer->bytes + 63) & ~(uint64_t)63;
	for (slot_count = 4096; slot_count * slot_bytes > sizeof(raw->slots[0]);)
		slot_count /= 2;
	return NULL;
}

static void peer_open(struct peer *peer, const char *sends, const char *receives)
{
	(void)sends;
	(void)receives;
	out = peer->is_near ? 0 : 1;
	in = 1 - out;
}

static void peer_close(struct peer *peer)
{
	(void)peer;
}

static void bell_wait(uint32_t *bell)
{
	while (__atomic_exchange_n(bell, 0, __ATOMIC_ACQ_REL) == 0)
		syscall(SYS_futex, bell, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void bell_ring(uint32_t *bell)
{
	__atomic_store_n(bell, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, bell, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static uint64_t find_slowest(const struct peer *peer)
{
	uint64_t slowest = UINT64_MAX;

	for (unsigned int i = 0; i < peer->readers; i++) {
		uint64_t index = __atomic_load_n(raw->read[out][i], __ATOMIC_ACQUIRE);

		slowest = index < slowest ? index : slowest;
	}
	return slowest;
}

/* The commonest size without a call. */
static inline void ring_write(const struct peer *peer, void *slot, const void *data)
{
	if (peer->bytes == 48)
		memcpy(slot, data, 48);
	else
		memcpy(slot, data, peer->bytes);
}

/* peer->sent is already that of the next one. */
static void peer_send(struct peer *peer, const void *data)
{
	uint64_t index = peer->sent - 1;

	if (peer->sleeps) {
		bell_ring(raw->bells[out]);
		return;
	}
	while (!is_line && index - peer_read >= slot_count)
		peer_read = find_slowest(peer);
	if (!is_line)
		ring_write(peer, raw->slots[out] + (index & (slot_count - 1)) * slot_bytes, data);
	__atomic_store_n(raw->written[out], index + 1, __ATOMIC_RELEASE);
}

/* Of a wake, or of a line alone, there is no message: it is made up here. */
static const void *peer_receive(struct peer *peer)
{
	if (peer->sleeps)
		bell_wait(raw->bells[in]);
	while (!peer->sleeps && peer_written <= peer->received) {
		peer_written = __atomic_load_n(raw->written[in], __ATOMIC_ACQUIRE);
		if (peer_written <= peer->received)
			peer_turn(peer);
	}
	if (peer->sleeps || is_line) {
		peer->message[0] = peer->received;
		return peer->message;
	}
	return raw->slots[in] + (peer->received & (slot_count - 1)) * slot_bytes;
}

static void peer_release(struct peer *peer)
{
	if (!is_line)
		__atomic_store_n(raw->read[in][peer->number], peer->received, __ATOMIC_RELEASE);
}
