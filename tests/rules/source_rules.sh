#!/bin/sh
# The rules that the sources keep: floors, conditionals, raw system calls, formatting.
# usage: source_rules.sh SOURCE-ROOT
set -eu
. "$(dirname "$0")/tap.sh"
cd "$1"

# Lowest first. A file may include its own floor and those below.
floors='sys base memory stream process topic worker machine escape command'

upward_includes() {
  seen=
  for floor in $floors; do
    seen="$seen $floor"
    [ -d "src/$floor" ] || continue
    awk -v seen="$seen " -F '["/]' '/^#include "/ && !index(seen, " " $2 " ") {
      print FILENAME ":" FNR ":" $0
    }' "src/$floor"/*.[ch]
  done
}

unknown_folders() {
  for folder in src/*/; do
    name=$(basename "$folder")
    case " $floors " in *" $name "*) ;; *) printf '%s is no floor\n' "$folder" ;; esac
  done
}

# The command uses what users have, and the face of the escape battery; nothing else of ours.
private_includes_of_command() {
  grep -Hn '^#include "' src/command/*.[ch] | grep -v '"command/' | grep -v '"escape/escape.h"' || true
}

# The battery stands outside what it attacks.
private_includes_of_escape() {
  grep -Hn '^#include "' src/escape/*.[ch] | grep -vE '"(escape|sys|base)/' || true
}

# Floor 0 knows nothing of ayre.
ayre_in_sys() {
  grep -Hn '#include <ayre' src/sys/*.[ch] || true
}

conditionals() {
  grep -rHnE '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef|elif)\b' src include examples \
    --include='*.[ch]' | grep -v '^src/sys/' | grep -v '^include/ayre/api.h:' || true
}

raw_system_calls() {
  grep -rHnE '\bsyscall[[:space:]]*\(' src --include='*.[ch]' | grep -v '^src/sys/' || true
}

public_headers_elsewhere() {
  grep -rHn 'AYRE_BEGIN_DECLARATIONS' src --include='*.h' || true
}

# One process for many files: what it says of each line becomes a line for each file.
untidy() {
  git ls-files -z '*.c' '*.h' 2>/dev/null | xargs -0 clang-format --dry-run --Werror 2>&1 |
    sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: error: .*/\1: run clang-format -i/p' | sort -u
}

verdict 'no floor includes a higher one' "$(upward_includes)"
verdict 'every folder of src is a floor' "$(unknown_folders)"
verdict 'the command includes public headers only' "$(private_includes_of_command)"
verdict 'the escape battery knows the library by its public headers' "$(private_includes_of_escape)"
verdict 'src/sys knows nothing of ayre' "$(ayre_in_sys)"
verdict 'conditionals stand in src/sys only' "$(conditionals)"
verdict 'raw system calls stand in src/sys only' "$(raw_system_calls)"
verdict 'public headers lie under include' "$(public_headers_elsewhere)"
if ! command -v clang-format >/dev/null 2>&1; then
  skip 'the sources are formatted' 'clang-format is not installed'
elif ! git -c safe.directory='*' rev-parse >/dev/null 2>&1; then
  skip 'the sources are formatted' 'not a git checkout'
else
  verdict 'the sources are formatted' "$(untidy)"
fi
finish
