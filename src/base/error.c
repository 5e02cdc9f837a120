/*
 * Errors as values: struct ayre_error and its one line of text.
 *
 * Invariant: every text in a struct ayre_error ends with a NUL byte, also one
 * that came from another process, because ayre_error_text() bounds what it reads.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Copies what fits, and cuts at the start of a UTF-8 character, never inside one. */
static void set_text(char *text, size_t text_bytes, const char *source)
{
	size_t length = strnlen(source, text_bytes);

	if (length >= text_bytes) {
		length = text_bytes - 1;
		while (length > 0 && ((unsigned char)source[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(text, source, length);
	memset(text + length, 0, text_bytes - length);
}

int ayrei_fail(struct ayre_error *error, int code, const char *step, const char *object,
               const char *detail, ...)
{
	char line[2 * sizeof(error->detail)] = "";
	va_list arguments;

	if (!error)
		return code;
	if (detail) {
		va_start(arguments, detail);
		vsnprintf(line, sizeof(line), detail, arguments);
		va_end(arguments);
	}
	error->code = code;
	set_text(error->step, sizeof(error->step), step);
	set_text(error->object, sizeof(error->object), object);
	set_text(error->detail, sizeof(error->detail), line);
	return code;
}

/* Where ayre's meaning of a code is not the one that the C library has a text for. */
static const char *message(int code, char *buffer, size_t buffer_bytes)
{
	switch (code) {
	case -EMSGSIZE:
		return "Size does not fit";
	case -EMEDIUMTYPE:
		return "Type differs";
	case -ESTALE:
		return "Cut short or replaced by another process";
	case -EPROTO:
		return "Malformed";
	case INT32_MIN:
		return "Malformed";
	default:
		return strerror_r(-code, buffer, buffer_bytes);
	}
}

const char *ayre_error_text(const struct ayre_error *error, char *text, size_t text_bytes)
{
	char buffer[64], line[640];
	int detail_length = (int)strnlen(error->detail, sizeof(error->detail));

	snprintf(line, sizeof(line), "%.*s: %s%s%.*s",
	         (int)strnlen(error->object, sizeof(error->object)), error->object,
	         message(error->code, buffer, sizeof(buffer)), detail_length ? ": " : "",
	         detail_length, error->detail);
	if (text_bytes)
		set_text(text, text_bytes, line);
	return text;
}
