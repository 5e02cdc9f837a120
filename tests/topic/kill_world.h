/*
 * A peer to be killed: a traced child that does one operation, and dies in it after any number of
 * instructions, while others stand by who have to get on without it.
 */
#pragma once

#include "support/trace.h"
#include "topic/topic_world.h"

#define NAME "t"

/* One operation, and what is done around each death in it. Only run has to be there. */
struct operation {
	const char *title;
	/* Deaths between two system calls, in the short form. 0: after every instruction, up to some hundred. */
	unsigned int most;
	/* In the child. What it prepares, and what more when the stage is set. */
	void (*prepare)(void);
	void (*make_ready)(void);
	void (*run)(void);
	/* In its tracer. Before there is a child; when it is prepared; when it stands where it dies; when
	 * it is dead. */
	void (*begin)(void);
	void (*set_stage)(void);
	void (*look)(void);
	void (*judge)(void);
};

/* Its deaths, one after the other; prints how many, and how soon others were told. What the body returns. */
int kill_everywhere(const struct operation *operation);

/* When the last one was reaped. */
extern int64_t died_ns;
/* How long after that somebody went on. */
void note_delay(int64_t ns);

/* All deaths of this program, in memory that is shared with the tests' children. */
extern atomic_uint *kills;
/* As TOPIC_TEST(), for longer. */
#define KILL_TEST(name, run) \
	static int name##_inside(void *context) \
	{ \
		(void)context; \
		return run; \
	} \
	static void name(void **state) \
	{ \
		(void)state; \
		set_deadline(KILL_SECONDS + 10); \
		run_topic_test(name##_inside); \
	}
#define KILL_SECONDS 100
/* main(), but for the tests. */
#define run_kills(group, tests) (begin_kills(), end_kills(run_counted(group, tests)))
void begin_kills(void);
int end_kills(int result);

/* As require(), and says where the last death was. */
#define holds(expression) ((expression) ? (void)0 : does_not_hold(__FILE__, __LINE__, #expression))
void does_not_hold(const char *file, int line, const char *expression) __attribute__((noreturn));

/* --- what all of them know --- */

struct stage {
	/* The victim's. So many are in the lane for certain, and so many (or none) may follow. */
	volatile uint64_t sent, flying;
	uint64_t lane, id;
	volatile bool through; /* its operation has returned */
	volatile bool ended;   /* and all that its tracer has to do with */
	/* A watcher's: see below. */
	atomic_uint turn, told;
	_Atomic uint64_t next; /* the sequence that it expects */
	uint64_t watcher;
	int end; /* that it was told of */
	volatile int64_t told_ns;
	atomic_bool held;
	/* A sender's. */
	atomic_uint order, done;
	int wanted;
	volatile bool dead;        /* the victim */
	volatile uint64_t held_at; /* the sequence that there was no room for */
};
extern struct stage *stage;
void open_stage(void);
void close_stage(void);

/* --- messages: send_pattern() by their sequence --- */

size_t size_of(uint64_t sequence);
/* Sends so many small ones, from stage->sent on. */
void send_some(struct ayre_publisher *publisher, uint64_t count);
/* Takes all there is until the deadline (0: does not wait), each of them whole and in its place. */
int receive_all(struct ayre_subscriber *subscriber, uint64_t *next, int64_t deadline_ns);

/* --- a process that takes all there is --- */

/*
 * In each turn it receives until it is told of an end, which it notes; then it waits for the next turn. While
 * `held`, it does not begin before a publisher waits for it.
 */
pid_t start_watcher(uint64_t ring_bytes);
void begin_turn(void);
/* Until it has taken everything, and sleeps; if there is one. */
void await_watcher_asleep(void);
/* Until it is told, within five seconds. Returns of what. */
int await_told(void);
void end_watcher(pid_t watcher);

/*
 * Are these all the files of the topic? stray: of one that died while it came, a bell may be there too,
 * which ayre_topic_clear() takes away.
 */
bool has_files(int count, bool stray);
