#!/bin/sh
# The manual is well-formed, and names every command and option there is.
# usage: manual_rules.sh SOURCE-ROOT AYRE
set -eu
. "$(dirname "$0")/tap.sh"
root=$1 ayre=$2

for page in "$root"/man/*.[1-8]; do
  verdict "mandoc finds nothing in $(basename "$page")" "$(mandoc -T lint -W warning "$page" 2>&1 || true)"
done

# The rows of `ayre help`: "  ayre segment create   Make ..." or "  ayre bench   Measure".
commands() {
  "$ayre" help | sed -n 's/^  ayre \([a-z]*\( [a-z]\{2,\}\)\{0,1\}\)  *.*/\1/p' | grep -v '^help'
}

undocumented_options() {
  commands | while IFS= read -r command; do
    noun=${command%% *}
    page=$root/man/ayre-$noun.1
    if [ ! -f "$page" ]; then
      printf 'ayre %s: no page %s\n' "$command" "ayre-$noun.1"
      continue
    fi
    # shellcheck disable=SC2086
    "$ayre" $command --help | sed -n 's/^  --\([a-z-]*\).*/\1/p' | while IFS= read -r option; do
      [ "$option" = help ] || grep -q "Fl Fl $option\b" "$page" ||
        printf 'ayre %s --%s is not in %s\n' "$command" "$option" "ayre-$noun.1"
    done
  done
}

unlisted_commands() {
  commands | while IFS= read -r command; do
    grep -qx ".It Cm $command" "$root/man/ayre.1" || printf 'ayre %s is not in ayre.1\n' "$command"
  done
}

verdict 'every command is in the list of ayre.1' "$(unlisted_commands)"
# The other way round: what a page lists as an option, a command of its noun has.
invented_options() {
  for page in "$root"/man/ayre-*.1; do
    noun=$(basename "$page" .1)
    noun=${noun#ayre-}
    commands | grep "^$noun\( \|$\)" | while IFS= read -r command; do
      # shellcheck disable=SC2086
      "$ayre" $command --help
    done >"$work/help"
    sed -n 's/^\.It Fl Fl \([a-z-]*\).*/\1/p' "$page" | while IFS= read -r option; do
      grep -q -e "--$option\b" "$work/help" || printf 'ayre %s has no --%s\n' "$noun" "$option"
    done
  done
}

uncommanded_pages() {
  for page in "$root"/man/ayre-*.1; do
    noun=$(basename "$page" .1)
    commands | grep -q "^${noun#ayre-}\( \|$\)" || printf '%s is of no command\n' "$noun"
    grep -q "^\.Xr $noun 1" "$root/man/ayre.1" || printf 'ayre(1) does not name %s\n' "$noun"
  done
}

# The overview leads to each page.
unmentioned_pages() {
  for page in "$root"/man/*.[13]; do
    name=$(basename "$page")
    grep -q "Xr ${name%.*} ${name##*.}" "$root/man/ayre.7" || printf '%s\n' "$name"
  done
}

# An error that a header speaks of is in the page of the module, or where it has several, in one of them.
unlisted_errors() {
  for header in "$root"/include/ayre/*.h; do
    functions=$(sed 's:/\*.*\*/::; /^ \*/d' "$header" | grep -oE '\bayre_[a-z0-9_]+\(' | tr -d '(' | sort -u | paste -sd'|')
    pages=$(grep -lE "^\.(Fo|Fn) (${functions:-none})\b" "$root"/man/*.3 || true)
    [ -n "$pages" ] || continue
    grep -oE -e '-E[A-Z0-9]{3,}' "$header" | tr -d - | sort -u | while IFS= read -r error; do
      # shellcheck disable=SC2086
      grep -q "\b$error\b" $pages || printf '%s: %s\n' "$(basename "$header")" "$error"
    done
  done
}

# Paths between backticks, and names of tests.
missing_files() {
  grep -o '`[^` ]*`' "$root/README.md" | tr -d '`' | sort -u | while IFS= read -r name; do
    case $name in
      tests/* | examples/* | bench/* | docs/* | models/* | fuzz/*) [ -e "$root/$name" ] || printf '%s\n' "$name" ;;
      *_test.c | *_bites.sh | *.bats) [ -n "$(find "$root/tests" -name "$name")" ] || printf '%s\n' "$name" ;;
    esac
  done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

verdict 'every option of a page is one of its commands' "$(invented_options)"
verdict 'every page is of a command, and ayre(1) names it' "$(uncommanded_pages)"
verdict 'ayre(7) names every page' "$(unmentioned_pages)"
verdict 'an error in a header is in its page' "$(unlisted_errors)"
verdict 'the README names files that there are' "$(missing_files)"
verdict 'every option of every command is in its page' "$(undocumented_options)"
verdict 'the commands were found' "$([ "$(commands | wc -l)" -ge 9 ] || commands)"
finish
