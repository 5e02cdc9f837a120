/*
 * Locking down the calling process, layer by layer.
 *
 * Invariant: success means that every layer holds that has to, and the posture names no layer that
 * does not. The order is part of it:
 *
 *	namespaces       while /proc/self can still be written: an undumpable process may not
 *	no-new-privs     before Landlock and seccomp, which ask for it
 *	undumpable       after the namespaces, which set that as they like
 *	capabilities     after the namespaces, which give all of them
 *	descriptors      before Landlock, which does not reach what is open
 *	landlock         while a descriptor can still be had
 *	limits           when nothing needs to be opened any more
 *	code             before seccomp, which forbids prctl
 *	seccomp          last: it forbids all of the above
 */
#include "worker/confine.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "sys/privilege.h"

#define ALL_LAYERS ((1u << AYRE_LAYER_COUNT) - 1)

static const struct ayrei_confine_step steps[AYRE_LAYER_COUNT] = {
	{AYRE_LAYER_NAMESPACES, ayrei_confine_namespaces},
	{AYRE_LAYER_NO_NEW_PRIVS, ayrei_confine_no_new_privs},
	{AYRE_LAYER_UNDUMPABLE, ayrei_confine_undumpable},
	{AYRE_LAYER_CAPABILITIES, ayrei_confine_capabilities},
	{AYRE_LAYER_DESCRIPTORS, ayrei_confine_descriptors},
	{AYRE_LAYER_LANDLOCK, ayrei_confine_landlock},
	{AYRE_LAYER_LIMITS, ayrei_confine_limits},
	{AYRE_LAYER_CODE, ayrei_confine_code},
	{AYRE_LAYER_SECCOMP, ayrei_confine_seccomp},
};

/* By the number of the layer's bit. */
static const char *const names[AYRE_LAYER_COUNT] = {
	"no-new-privs", "undumpable", "capabilities", "descriptors", "landlock",
	"limits",       "seccomp",    "namespaces",   "code",
};

static int number_of(uint32_t layer)
{
	return layer && !(layer & (layer - 1)) && layer & ALL_LAYERS ? __builtin_ctz(layer) : -1;
}

const char *ayre_layer_name(uint32_t layer)
{
	int number = number_of(layer);

	return number < 0 ? NULL : names[number];
}

int ayre_layer_by_name(const char *name)
{
	for (int i = 0; name && i < AYRE_LAYER_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return 1 << i;
	return -EINVAL;
}

static int check_options(const struct ayre_confine_options *options, struct ayre_error *error)
{
	if (options->without & ~ALL_LAYERS || options->require & ~ALL_LAYERS)
		return ayrei_fail(error, -EINVAL, "confine", "layers", "there is no such layer");
	if (options->flags & ~(uint32_t)AYRE_CONFINE_REPORT)
		return ayrei_fail(error, -EINVAL, "confine", "flags", "there is no such flag");
	if (options->keep_count > 0 && !options->keep)
		return ayrei_fail(error, -EINVAL, "confine", "descriptors", NULL);
	return 0;
}

/* Landlock and seccomp bind the thread that asks; one that was left out could undo all of it. */
static int check_alone(struct ayre_error *error)
{
	int alone = ayrei_thread_is_alone();

	if (alone < 0)
		return ayrei_fail(error, alone, "confine", "threads",
		                  "whether there are others cannot be told: mount /proc, or "
		                  "allow unshare");
	return alone ? 0
	             : ayrei_fail(error, -EBUSY, "confine", "threads",
	                          "there are others, which the layers would not reach");
}

/*
 * What is the matter where a layer fails with this, and what helps. By the first that fits; a layer of 0
 * fits each.
 */
static const struct {
	uint32_t layer;
	int code;
	const char *text;
} remedies[] = {
	{AYRE_LAYER_LANDLOCK, -ENOSYS,
         "the kernel was built without it, or a container hides it; what it forbids seccomp "
         "forbids too, so that it can be done without"},
	{AYRE_LAYER_LANDLOCK, -EOPNOTSUPP,
         "it is off: the kernel's lsm= parameter has to name it, or it can be done without"},
	{AYRE_LAYER_LANDLOCK, -EPERM,
         "a container's filter forbids landlock_create_ruleset or landlock_restrict_self: allow "
         "them there, or do without"},
	{AYRE_LAYER_LIMITS, -ENOENT,
         "how much is mapped is read from /proc/self/statm: mount /proc, or set no limit of "
         "memory"},
	{AYRE_LAYER_LIMITS, -EPERM, "a container's filter forbids prlimit64: allow it there"},
	{AYRE_LAYER_LIMITS, -ENOSYS, "a container's filter hides prlimit64: allow it there"},
	{AYRE_LAYER_DESCRIPTORS, -ENOSYS,
         "the kernel has no close_range (Linux 5.9), or a container hides it"},
	{AYRE_LAYER_NAMESPACES, -EPERM,
         "user namespaces are refused to this user, as in most containers"},
	{AYRE_LAYER_NAMESPACES, -ENOENT, "the maps of users are written in /proc: mount it"},
	{0, -EPERM, "a container's filter, or a privilege that is missing, forbids it"},
	{0, -ENOSYS, "the kernel was built without it, or a container hides it"},
	{0, -EINVAL, "the kernel is too old for it, or was built without it"},
};

static const char *remedy(uint32_t layer, int code)
{
	for (size_t i = 0; i < sizeof(remedies) / sizeof(*remedies); i++)
		if ((!remedies[i].layer || remedies[i].layer == layer) && remedies[i].code == code)
			return remedies[i].text;
	return NULL;
}

static int fail_layer(int number, int code, uint32_t without, struct ayre_error *error)
{
	const uint32_t need_no_new_privs = AYRE_LAYER_LANDLOCK | AYRE_LAYER_SECCOMP;
	const char *text = remedy(1u << number, code);

	if (code == -EPERM && 1u << number & need_no_new_privs && without & AYRE_LAYER_NO_NEW_PRIVS)
		text = "it asks for no-new-privs: do without both, or with both";

	return ayrei_fail(error, code, "confine", names[number],
	                  "this layer has to hold, and does not%s%s", text ? ": " : "",
	                  text ? text : "");
}

int ayrei_confine_lay(struct ayrei_confinement *confinement,
                      const struct ayrei_confine_step *layers, size_t count,
                      struct ayre_error *error)
{
	const struct ayre_confine_options *options = &confinement->options;
	uint32_t mandatory = (AYRE_LAYERS_MANDATORY & ~options->without) | options->require;
	/* Not tried: there are filters from outside that end who tries. */
	uint32_t skipped = confinement->tries_all ? 0 : options->without & ~options->require;
	struct ayre_posture *posture = &confinement->posture;

	for (size_t i = 0; i < count; i++) {
		uint32_t layer = layers[i].layer;
		int number = number_of(layer), code;

		if (layer & skipped) {
			posture->codes[number] = -ECANCELED;
			continue;
		}
		if (confinement->begin)
			confinement->begin(confinement, layer);
		code = layers[i].lay(confinement);
		posture->codes[number] = code;
		if (code >= 0)
			posture->layers |= layer;
		else if (layer & mandatory)
			return fail_layer(number, code, options->without, error);
	}
	posture->confined = (posture->layers & AYRE_LAYERS_CONFINED) == AYRE_LAYERS_CONFINED;
	return 0;
}

int ayrei_confine_all(struct ayrei_confinement *confinement, struct ayre_error *error)
{
	return ayrei_confine_lay(confinement, steps, AYRE_LAYER_COUNT, error);
}

int ayrei_confine_alone(struct ayrei_confinement *confinement, struct ayre_error *error)
{
	int result = check_alone(error);

	if (result < 0)
		return result;
	confinement->mapped_bytes = ayrei_address_space_bytes();
	return ayrei_confine_all(confinement, error);
}

int ayre_confine(const struct ayre_confine_options *options, struct ayre_posture *ret_posture,
                 struct ayre_error *error)
{
	struct ayrei_confinement confinement = {0};
	int result = ayrei_options_copy(&confinement.options, sizeof(confinement.options), options);

	if (result < 0 || (ret_posture && ret_posture->size < sizeof(size_t)))
		return ayrei_fail(error, -EINVAL, "confine", "options", "a size is not set");
	result = check_options(&confinement.options, error);
	if (result == 0)
		result = ayrei_confine_alone(&confinement, error);
	if (result == 0 && ret_posture)
		result = ayrei_result_copy(ret_posture, &confinement.posture,
		                           sizeof(confinement.posture));
	return result;
}
