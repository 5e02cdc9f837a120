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
verdict 'every option of every command is in its page' "$(undocumented_options)"
verdict 'the commands were found' "$([ "$(commands | wc -l)" -ge 9 ] || commands)"
finish
