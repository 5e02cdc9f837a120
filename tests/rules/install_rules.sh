#!/bin/sh
# An installed ayre works: a program compiles with pkg-config, shared and static, and runs; each example
# compiles by the line at its head; the command and its manual are there.
# usage: install_rules.sh SOURCE-ROOT BUILD-ROOT CC
set -eu
. "$(dirname "$0")/tap.sh"
root=$1 build=$2 cc=$3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

meson install -C "$build" --no-rebuild --destdir "$work/tree" >"$work/log" 2>&1 ||
  { not_ok 'meson install' <"$work/log"; finish; exit; }
ok 'meson install'

prefix=$(find "$work/tree" -type d -name pkgconfig | head -n 1)
PKG_CONFIG_PATH=$prefix
PKG_CONFIG_SYSROOT_DIR=$work/tree
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
LD_LIBRARY_PATH=$(dirname "$prefix")
export LD_LIBRARY_PATH

cat >"$work/user.c" <<'C'
#include <ayre.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	struct ayre_segment_options options = {.size = sizeof(options), .size_bytes = 64};
	struct ayre_segment *segment;
	struct ayre_error error;

	if (ayre_segment_open(&options, NULL, &segment, &error) < 0)
		return 1;
	strcpy(ayre_segment_data(segment), "shared");
	puts(ayre_segment_data(segment));
	ayre_segment_close(segment);
	return strcmp(ayre_version(), AYRE_VERSION) != 0;
}
C

# try NAME FLAGS...
try() {
  name=$1
  shift
  if "$cc" -Wall -Wextra -Werror "$work/user.c" -o "$work/user" "$@" >"$work/log" 2>&1 &&
    [ "$("$work/user" 2>"$work/log")" = shared ]; then
    ok "$name"
  else
    not_ok "$name" <"$work/log"
  fi
}

# A sanitized library asks its users to be sanitized as well.
sanitize=$(meson introspect "$build" --buildoptions |
  jq -r '.[] | select(.name == "b_sanitize").value | if . == "none" then "" else "-fsanitize=" + . end')
# shellcheck disable=SC2046,SC2086
try 'a program against the shared library' $(pkg-config --cflags --libs ayre) $sanitize
# shellcheck disable=SC2046,SC2086
try 'a program against the static library' $(pkg-config --cflags ayre) \
  "$(find "$work/tree" -name libayre.a)" -pthread $sanitize

# An example says at its head how it is compiled.
cp "$root"/examples/*.[ch] "$work"
for example in "$root"/examples/*.c; do
  name=$(basename "$example" .c)
  line=$(sed -n 's/^ \*   cc //p' "$example")
  if [ "$name" = png_module ] && ! pkg-config --exists libpng; then
    skip "examples/$name.c" 'no libpng'
  elif [ -n "$line" ] && (cd "$work" && eval "$cc -Wall -Wextra -Werror $sanitize $line") >"$work/log" 2>&1 &&
    { [ -e "$work/$name" ] || [ -e "$work/$name.so" ]; }; then
    ok "examples/$name.c is compiled as it says"
  else
    not_ok "examples/$name.c is compiled as it says" <"$work/log"
  fi
done

verdict 'a program needs no package but this' "$(pkg-config --print-requires --print-requires-private ayre)"

command=$(find "$work/tree" -path '*/bin/ayre')
version=$(sed -n 's/.*AYRE_VERSION "\(.*\)"/\1/p' "$root/include/ayre/version.h")
said=$("$command" --version 2>&1) || said="$said (failed)"
verdict 'the installed command runs' "$([ "$said" = "ayre $version" ] || echo "$said")"

for helper in ayre-zygote ayre-bench.so; do
  verdict "$helper is installed" "$([ -n "$(find "$work/tree" -path "*/libexec/$helper")" ] || echo 'it is missing')"
done
for script in bash-completion/completions/ayre fish/vendor_completions.d/ayre.fish zsh/site-functions/_ayre; do
  verdict "$script is installed" "$([ -s "$(find "$work/tree" -path "*/share/$script")" ] || echo 'it is missing')"
done
for page in man1/ayre.1 man3/ayre_segment.3 man3/ayre_segment_open.3 man7/ayre.7; do
  verdict "$page is installed" \
    "$([ -n "$(find "$work/tree" -path "*/man/$page")" ] || echo 'it is missing')"
done
finish
