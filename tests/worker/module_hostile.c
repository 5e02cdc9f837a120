/*
 * A module whose constructor is not to be trusted; KIND says what it does.
 */
#include <ayre/module.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Things that have to be refused, and that were not. */
static uint32_t got;

int verdict(const struct ayre_request *request, struct ayre_reply *reply);

__attribute__((visibility("default"))) int verdict(const struct ayre_request *request,
                                                   struct ayre_reply *reply)
{
	(void)request;
	memcpy(reply->data, &got, sizeof(got));
	reply->bytes = sizeof(got);
	return 0;
}

static void note(int number, int result)
{
	if (result >= 0)
		got |= 1u << number;
}

static void snoop(void)
{
	note(0, open("/etc/passwd", O_RDONLY));
	note(1, open("/tmp/ayre-test-hostile", O_RDWR | O_CREAT, 0600));
	note(2, open("/proc/self/environ", O_RDONLY));
	note(3, fork());
	note(4, open("/proc/1/status", O_RDONLY));
	note(5, getenv("PATH") ? 0 : -1);
	note(6, open("/lib", O_RDONLY | O_DIRECTORY) < 0 ? 0 : -1); /* it may */
	for (int fd = 8; fd < 64; fd++)
		/* Besides statm and what was opened just now there is nothing. */
		note(7, fcntl(fd, F_GETFD) >= 0 && fd > 10 ? 0 : -1);
}

static void connect_out(void)
{
	note(0, socket(AF_INET, SOCK_STREAM, 0));
}

static void crash(void)
{
	*(volatile int *)16 = 1;
}

static void hang(void)
{
	for (;;)
		nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
}

static void leave(void)
{
	_exit(0);
}

/* The socket is at 3: a report of no kind, and as long as a report is. */
static void forge(void)
{
	char report[1024] = {77};

	for (size_t bytes = 1; bytes < sizeof(report); bytes++)
		(void)!write(3, report, bytes);
}

static void (*const kinds[])(void) = {snoop, connect_out, crash, hang, leave, forge};

__attribute__((constructor)) static void begin(void)
{
	kinds[KIND]();
}
