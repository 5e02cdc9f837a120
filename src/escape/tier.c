/*
 * Kernels that lack a feature, as the calling process sees them.
 *
 * Invariant: the code under test does not know. It makes the same calls, and gets the answer that
 * a kernel without the feature, or an administrator who has forbidden it, gives.
 */
#include "escape/tier.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>

#include "sys/kernel.h"
#include "sys/privilege.h"

#define ALL_NAMESPACES \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNET | \
	 CLONE_NEWCGROUP)

/* Filters see the lower halves of arguments first on both machines that ayre runs on. */
#define AT(field)            offsetof(struct seccomp_data, field)
#define LOAD(field)          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(field))
#define LOAD_CALL            LOAD(nr)
#define SAY(code)            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (code))
#define ALLOW                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define UNLESS(value, steps) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (steps))
#define UNLESS_ANY(bits, steps) \
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (unsigned int)(bits), 0, (steps))

/*
 * As Ubuntu's AppArmor and most containers: EPERM. A filter cannot see into the struct of clone3.
 */
static const struct sock_filter no_namespaces[] = {
	LOAD_CALL,     UNLESS(SYS_setns, 1),
	SAY(EPERM),    UNLESS(SYS_clone3, 1),
	SAY(ENOSYS),   UNLESS(SYS_unshare, 3),
	LOAD(args[0]), UNLESS_ANY(ALL_NAMESPACES, 5),
	SAY(EPERM),    UNLESS(SYS_clone, 3),
	LOAD(args[0]), UNLESS_ANY(ALL_NAMESPACES, 1),
	SAY(EPERM),    ALLOW,
};

static const struct sock_filter no_landlock[] = {
	LOAD_CALL,   UNLESS(SYS_landlock_create_ruleset, 1),
	SAY(ENOSYS), UNLESS(SYS_landlock_restrict_self, 1),
	SAY(ENOSYS), ALLOW,
};

static const struct sock_filter no_seccomp[] = {
	LOAD_CALL,     UNLESS(SYS_seccomp, 1),    SAY(ENOSYS), UNLESS(SYS_prctl, 3),
	LOAD(args[0]), UNLESS(PR_SET_SECCOMP, 1), SAY(EINVAL), ALLOW,
};

struct mask {
	const struct sock_filter *steps;
	size_t length;
};

#define MASK(steps) \
	{ \
		steps, sizeof(steps) / sizeof(*(steps)) \
	}

#define MASKS_MAX 2

static const struct {
	const char *name;
	uint32_t without;
	struct mask masks[MASKS_MAX];
} tiers[ESCAPE_TIERS] = {
	[ESCAPE_FULL] = {"full", 0, {{NULL, 0}}},
	[ESCAPE_NO_NAMESPACES] = {"no-namespaces", 0, {MASK(no_namespaces)}},
	[ESCAPE_NO_LANDLOCK] = {"no-landlock", AYRE_LAYER_LANDLOCK, {MASK(no_landlock)}},
	[ESCAPE_SECCOMP_ONLY] = {"seccomp-only",
                                 AYRE_LAYER_LANDLOCK,
                                 {MASK(no_namespaces), MASK(no_landlock)}},
	[ESCAPE_NO_SECCOMP] = {"no-seccomp", AYRE_LAYER_SECCOMP, {MASK(no_seccomp)}},
	[ESCAPE_UNCONFINED] = {"unconfined", 0, {{NULL, 0}}},
};

const char *escape_tier_name(int tier)
{
	return tier >= 0 && tier < ESCAPE_TIERS ? tiers[tier].name : NULL;
}

uint32_t escape_tier_without(enum escape_tier tier)
{
	return tiers[tier].without;
}

int escape_tier_enter(enum escape_tier tier)
{
	const struct mask *masks = tiers[tier].masks;
	int result = masks[0].steps ? ayrei_privileges_no_new() : 0;

	for (int i = 0; result == 0 && i < MASKS_MAX && masks[i].steps; i++)
		result = ayrei_filter_load(masks[i].steps, masks[i].length);
	return result;
}
