/*
 * Files that can be executed, as verbs. Every one returns zero or more, or a negative errno.
 */
#pragma once

#include <stdint.h>

/* May this user execute the file? directory: where relative paths begin; -1: here. */
int ayrei_program_may_execute(int directory, const char *path);

/*
 * Would the kernel know what to do with it? -ENOEXEC: neither a program nor a script; -ELIBBAD: a
 * script whose interpreter is missing or no program. What cannot be read passes.
 */
int ayrei_program_check_format(int directory, const char *path);

/*
 * The bytes of arguments and environment that exec takes, pointers among them, under this limit
 * of the stack (0: the present one); and of one string.
 */
uint64_t ayrei_program_argument_room(uint64_t stack_bytes);
uint64_t ayrei_program_string_room(void);
