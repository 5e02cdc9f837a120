/*
 * The layers that confine a worker here, and a worker that is opened for real.
 */
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include <ayre.h>

#include "command/doctor.h"

/* By the number of the layer's bit: what is lost without it. */
static const char *const losses[AYRE_LAYER_COUNT] = {
	"It is asked for by Landlock and seccomp: no worker begins.",
	"Other processes of this user could look into a worker.",
	"What the user may as root a module may.",
	"A module could use what its host has open.",
	"Files are forbidden by seccomp alone. A worker does not begin, unless it is told to do "
	"without (call --without landlock).",
	"Nothing bounds a module's memory and processor time.",
	"A process without it is not confined: no worker begins.",
	"A module's processes are not in namespaces of their own: what a constructor leaves behind "
	"can outlive the host, and seccomp alone stands before other processes.",
	"What a module has written it can make executable, as on kernels before 6.3.",
};

/* Which of the switches that forbid user namespaces is it? */
static void mend_namespaces(struct doctor_finding *finding)
{
	int64_t number;

	if (doctor_read_number("/proc/sys/user/max_user_namespaces", &number) && number == 0)
		doctor_mend(finding, "sysctl -w user.max_user_namespaces=15000");
	else if (doctor_read_number("/proc/sys/kernel/unprivileged_userns_clone", &number) &&
	         number == 0)
		doctor_mend(finding, "sysctl -w kernel.unprivileged_userns_clone=1");
	else if (doctor_read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
	                            &number) &&
	         number != 0)
		doctor_mend(finding, "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
}

/* The kernel's parameter has to name it, before all that are there. */
static void mend_landlock(struct doctor_finding *finding, int code)
{
	char modules[160];

	if (code != -EOPNOTSUPP)
		return;
	doctor_read_line("/sys/kernel/security/lsm", modules, sizeof(modules));
	doctor_mend(finding,
	            "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&lsm=landlock%s%s /' /etc/default/grub && "
	            "update-grub && reboot",
	            modules[0] ? "," : "", modules);
}

static void look_at_layer(struct doctor *doctor, const struct ayre_posture *posture, int number)
{
	uint32_t layer = 1u << number;
	struct doctor_finding *finding = doctor_add(doctor, "confinement", ayre_layer_name(layer));

	if (posture->layers & layer) {
		doctor_say(finding, "holds");
		if (layer == AYRE_LAYER_LANDLOCK) {
			finding->count = posture->landlock_abi;
			doctor_say(finding, "ABI %" PRId32, posture->landlock_abi);
		}
		return;
	}
	doctor_say(finding, "%s", strerror(-posture->codes[number]));
	doctor_judge(finding, layer & AYRE_LAYERS_MANDATORY ? DOCTOR_TROUBLE : DOCTOR_COSTS, "%s",
	             losses[number]);
	if (layer == AYRE_LAYER_NAMESPACES)
		mend_namespaces(finding);
	else if (layer == AYRE_LAYER_LANDLOCK)
		mend_landlock(finding, posture->codes[number]);
	if (!finding->mend[0] && doctor_status_is("Seccomp:", 2))
		doctor_mend(finding, "docker run --security-opt seccomp=unconfined ...");
}

static void look_at_layers(struct doctor *doctor)
{
	struct ayre_posture posture = {.size = sizeof(posture)};
	struct ayre_error error;

	if (ayre_posture_probe(&posture, &error) < 0) {
		struct doctor_finding *finding = doctor_add(doctor, "confinement", "layers");

		doctor_say(finding, "cannot be tried");
		doctor_judge_error(finding, &error);
		doctor_mend(finding, "ayre worker posture");
		return;
	}
	for (int i = 0; i < AYRE_LAYER_COUNT; i++)
		look_at_layer(doctor, &posture, i);
}

/* --- a worker --- */

/* The C library itself is a module without a constructor that could be wrong. */
static int is_module(struct dl_phdr_info *library, size_t size, void *context)
{
	const char **module = context;

	(void)size;
	if (!strstr(library->dlpi_name, "/libc.so") && !strstr(library->dlpi_name, "/ld-musl"))
		return 0;
	*module = library->dlpi_name;
	return 1;
}

static void look_at_worker(struct doctor *doctor)
{
	struct doctor_finding *finding;
	const char *module = NULL;
	struct ayre_worker *worker;
	struct ayre_error error;

	(void)dl_iterate_phdr(is_module, &module);
	/* A command that was linked statically has none. */
	if (!module)
		return;
	finding = doctor_add(doctor, "confinement", "worker");
	if (ayre_worker_open(NULL, module, &worker, &error) == 0) {
		ayre_worker_close(worker);
		doctor_say(finding, "begins");
		return;
	}
	doctor_say(finding, "does not begin");
	doctor_judge_error(finding, &error);
	/* The helper program: it is found where it was installed. */
	if (error.code == -ENOENT && strstr(error.object, "ayre-zygote"))
		doctor_mend(finding, "meson install -C build");
	else
		doctor_mend(finding, "ayre worker posture");
}

void doctor_look_at_confinement(struct doctor *doctor)
{
	look_at_layers(doctor);
	look_at_worker(doctor);
}
