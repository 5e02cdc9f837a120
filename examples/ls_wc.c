/*
 * A pipeline out of a C program (system S8), without a shell: `ls DIRECTORY | wc -l`.
 *
 *   ls_wc DIRECTORY
 *
 * ls_wc_bare.c does the same with pipe, fork, dup2 and exec alone; what the library sees to is in
 * its comments.
 *
 * Compiled by
 *
 *   cc -o ls_wc ls_wc.c $(pkg-config --cflags --libs ayre)
 */
#include <stdio.h>

#include <ayre.h>

int main(int argc, char **argv)
{
	struct ayre_pipeline *pipeline;
	struct ayre_error error;
	char text[640];
	int status;

	if (argc != 2) {
		fprintf(stderr, "usage: ls_wc DIRECTORY\n");
		return 2;
	}
	pipeline = ayre_pipeline_new();
	if (!pipeline) {
		perror("ls_wc");
		return 125;
	}
	ayre_pipeline_command(pipeline, "ls", "--", argv[1], NULL);
	ayre_pipeline_command(pipeline, "wc", "-l", NULL);
	/* Either both run, or none of them does and the error says which one cannot. */
	status = ayre_pipeline_run(pipeline, NULL, &error);
	if (status < 0) {
		fprintf(stderr, "ls_wc: %s\n", ayre_error_text(&error, text, sizeof(text)));
		status = 125;
	}
	ayre_pipeline_free(pipeline);
	return status;
}
