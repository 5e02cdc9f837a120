/*
 * Finding a program, without running it and without a shell.
 */
#pragma once

#include <stdint.h>

#include <ayre/error.h>

/*
 * name: with a slash a path, else looked for in PATH. directory_fd: where relative paths begin;
 * -1: here. Checks what can be checked before exec. *ret_path is to be freed.
 * Returns 0, or -ENOENT, -EACCES, -ENOEXEC, ..., with the step "find".
 */
int ayrei_program_find(const char *name, const char *const *environment, int directory_fd,
                       char **ret_path, struct ayre_error *error);

/*
 * Would the kernel take so much? stack_bytes: the limit (RLIMIT_STACK) that the program will have;
 * 0: the host's. 0 or -E2BIG, with the step "arguments".
 */
int ayrei_program_check_arguments(const char *name, const char *const *arguments,
                                  const char *const *environment, uint64_t stack_bytes,
                                  struct ayre_error *error);
