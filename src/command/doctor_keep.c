/*
 * How long the machine keeps what is in memory: System V segments without a user, and what a user leaves at logout.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/doctor.h"

#define LOGIND     "/etc/systemd/logind.conf"
#define FIRST_USER 1000 /* those below belong to the system, and are spared */

static void look_at_sysv(struct doctor *doctor)
{
	struct doctor_finding *finding = doctor_add(doctor, "memory", "sysv-kept");
	int64_t forced = 0;

	(void)doctor_read_number("/proc/sys/kernel/shm_rmid_forced", &forced);
	doctor_say(finding, forced ? "until the last user ends" : "until removed");
	if (!forced)
		return;
	doctor_judge(finding, DOCTOR_COSTS,
	             "A sysv: segment is gone with its last user, and what one command has "
	             "written the next cannot read.");
	doctor_mend(finding, "sysctl -w kernel.shm_rmid_forced=0");
}

/* The last word that the file has on it: "RemoveIPC=no". */
static void read_choice(const char *path, bool *removes)
{
	FILE *file = fopen(path, "re");
	char line[256], word[16];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " RemoveIPC = %15s", word) == 1)
			*removes = strchr("nNfF0", word[0]) == NULL && strcmp(word, "off") != 0;
	if (file)
		fclose(file);
}

static bool logind_removes(void)
{
	bool removes = true;
	struct dirent **entries;
	char path[sizeof(LOGIND ".d/") + 256];
	int count;

	read_choice(LOGIND, &removes);
	count = scandir(LOGIND ".d", &entries, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), LOGIND ".d/%s", entries[i]->d_name);
		if (strstr(entries[i]->d_name, ".conf"))
			read_choice(path, &removes);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return removes;
}

/* Only where systemd runs, and logind, and only of users who log in. */
static void look_at_logout(struct doctor *doctor)
{
	struct doctor_finding *finding;

	if (access("/run/systemd/system", F_OK) == -1 || access("/run/systemd/users", F_OK) == -1)
		return;
	finding = doctor_add(doctor, "memory", "logout");
	if (geteuid() < FIRST_USER || !logind_removes()) {
		doctor_say(finding, "leaves segments and topics");
		return;
	}
	doctor_say(finding, "removes segments and topics");
	doctor_judge(finding, DOCTOR_COSTS,
	             "When the last session of this user ends, systemd-logind removes what is in "
	             "/dev/shm, and the System V segments that nobody has attached (RemoveIPC).");
	doctor_mend(finding, "mkdir -p " LOGIND ".d && printf '[Login]\\nRemoveIPC=no\\n' > " LOGIND
	                     ".d/ayre.conf && systemctl restart systemd-logind");
}

void doctor_look_at_keeping(struct doctor *doctor)
{
	look_at_sysv(doctor);
	look_at_logout(doctor);
}
