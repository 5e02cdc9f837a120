/*
 * Text that others chose: file names, and what modules say.
 *
 * Invariant: what leaves text_clean() is UTF-8 and has nothing in it that moves a cursor, turns the
 * direction of writing, or ends a line.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gallery.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* The character at the front, and its bytes; or -1 if these are none, 1 byte of them. */
static int32_t decode_character(const unsigned char *bytes, size_t length, size_t *ret_bytes)
{
	static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t count = bytes[0] < 0x80   ? 1
	               : bytes[0] < 0xc2 ? 0
	               : bytes[0] < 0xe0 ? 2
	               : bytes[0] < 0xf0 ? 3
	               : bytes[0] < 0xf5 ? 4
	                                 : 0;
	int32_t character = count == 1 ? bytes[0] : bytes[0] & (0x7f >> count);

	*ret_bytes = 1;
	if (count == 0 || count > length)
		return -1;
	for (size_t i = 1; i < count; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return -1;
		character = character << 6 | (bytes[i] & 0x3f);
	}
	if (character < least[count] || character > 0x10ffff ||
	    (character >= 0xd800 && character < 0xe000))
		return -1;
	*ret_bytes = count;
	return character;
}

static bool is_harmless(int32_t character)
{
	return character >= ' ' && (character < 0x7f || character > 0x9f) &&
	       (character < 0x2028 || character > 0x202e) &&
	       (character < 0x2066 || character > 0x2069) &&
	       (character < 0x200e || character > 0x200f);
}

void text_clean(const char *bytes, size_t length, char *clean, size_t clean_bytes)
{
	size_t to = 0;

	for (size_t at = 0, step; at < length; at += step) {
		int32_t character =
			decode_character((const unsigned char *)bytes + at, length - at, &step);
		const char *from = is_harmless(character) ? bytes + at : REPLACEMENT;
		size_t count = is_harmless(character) ? step : sizeof(REPLACEMENT) - 1;

		if (to + count >= clean_bytes)
			break;
		memcpy(clean + to, from, count);
		to += count;
	}
	clean[to] = '\0';
}

const char *text_next(const char *text)
{
	do
		text++;
	while ((*text & 0xc0) == 0x80);
	return text;
}

void text_say(struct gallery *gallery, const char *format, ...)
{
	va_list arguments;

	if (gallery->has_progress_line)
		fputs("\r\033[K", stderr);
	gallery->has_progress_line = false;
	fputs("gallery: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}
