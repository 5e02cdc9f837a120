# What is always the same of bash's completion; 'ayre completion bash' adds what each command takes.
#
# bash cuts words at '=' and ':', and puts an answer in the place of the last piece only. So the pieces are joined
# again, and what of the word is in earlier ones is left out of the answers. Nothing here goes through compgen -W,
# which would run what stands in a name.

# Names that there are, of ayre's topics or segments.
_ayre_names()
{
	local line
	"${words[0]}" "$1" list 2>/dev/null | while IFS= read -r line; do
		case $line in
		*'(removed)' | file:* | memfd:* | 'SEGMENT  '* | 'TOPIC  '*) ;;
		*) printf '%s\n' "${line%%  *}" ;;
		esac
	done
}

# Answers with those words that begin with $1.
_ayre_pick()
{
	local begin=$1 word
	shift
	for word; do
		[[ $word != "$begin"* ]] || COMPREPLY+=("$word")
	done
}

# Answers with what is of the kind $1 and begins with $2.
_ayre_offer()
{
	local kind=$1 value=$2 letter= names
	case $kind:$value in
	'<segment>:file:'* | '<segment>:sysv:'*) kind='<file>' value=${value#*:} ;;
	'<segment>:'*/*) kind='<file>' ;;
	'<topic>:'*/*) kind='<directory>' ;;
	esac
	case $kind in
	'') return ;;
	'<file>') letter=f ;;
	'<directory>') letter=d ;;
	'<program>') letter=c ;;
	'<segment>' | '<topic>')
		names=${kind#<}
		mapfile -t names < <(_ayre_names "${names%>}")
		_ayre_pick "$value" "${names[@]}"
		return
		;;
	*)
		IFS='|' read -ra names <<<"$kind"
		_ayre_pick "$value" "${names[@]}"
		return
		;;
	esac
	mapfile -t COMPREPLY < <(compgen "-$letter" -- "$value")
	# Fails where no line is being edited.
	[[ $letter == c ]] || compopt -o filenames 2>/dev/null
	return 0
}

# words: those up to the cursor, as ayre will see them.
_ayre_join_words()
{
	local rest=$COMP_LINE word
	words=()
	for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
		if [[ ${#words[@]} -eq 0 || $rest == [[:space:]]* || ! $rest ]]; then
			words+=("$word")
		else
			words[-1]+=$word
		fi
		rest=${rest#"${rest%%[![:space:]]*}"}
		rest=${rest#"$word"}
	done
}

# Answers for the command $1, whose own words begin at words[$2].
_ayre_answer()
{
	local -i at operand=0
	local current=${words[-1]} value_of= ended= option
	local -a options operands
	_ayre_command "$1" || return 0
	for ((at = $2; at < ${#words[@]} - 1; at++)); do
		if [[ $value_of ]]; then
			value_of=
		elif [[ $ended || ${words[at]} != -* ]]; then
			operand+=1
			[[ ${operands[0]-} != '<program>' ]] || ended=1
		elif [[ ${words[at]} == -- ]]; then
			ended=1
		else
			for option in "${options[@]}"; do
				[[ $option != "${words[at]}="* ]] || value_of=$option
			done
		fi
	done
	if [[ $value_of ]]; then
		_ayre_offer "${value_of#*=}" "$current"
	elif [[ ! $ended && $current == --*=* ]]; then
		for option in "${options[@]}"; do
			[[ $option != "${current%%=*}="* ]] || _ayre_offer "${option#*=}" "${current#*=}"
		done
	elif [[ ! $ended && $current == -* ]]; then
		_ayre_pick "$current" "${options[@]%%=*}"
	elif [[ ${operands[0]-} == '<program>' && $operand -gt 0 && ${words[-2]} != @(::|'|') ]]; then
		_ayre_offer '<file>' "$current"
	elif [[ ${operands[0]-} == '<program>' ]]; then
		_ayre_offer '<program>' "$current"
	else
		if [[ ${operands[-1]-} == ... && $operand -ge $((${#operands[@]} - 1)) ]]; then
			operand=${#operands[@]}-2
		fi
		_ayre_offer "${operands[operand]-}" "$current"
	fi
}

_ayre()
{
	local -a words verbs
	local -i first=1 count at
	local current joined
	COMPREPLY=()
	_ayre_join_words
	count=${#words[@]}
	current=${words[-1]}
	[[ $count -le 2 || ${words[1]} != help ]] || first=2
	mapfile -t verbs < <(_ayre_verbs "${words[first]}")
	if [[ $count -eq 2 && $current == -* ]]; then
		_ayre_pick "$current" --help --version
	elif [[ $count -eq 2 ]]; then
		_ayre_pick "$current" $(_ayre_verbs) help
	elif [[ $count -eq $((first + 1)) ]]; then
		_ayre_pick "$current" $(_ayre_verbs)
	elif [[ ${#verbs[@]} -gt 0 && $count -eq $((first + 2)) ]]; then
		_ayre_pick "$current" "${verbs[@]}"
		[[ $first -eq 2 || $current != -* ]] || _ayre_pick "$current" --help
	elif [[ $first -eq 1 && ${#verbs[@]} -gt 0 ]]; then
		_ayre_answer "${words[1]} ${words[2]}" 3
	elif [[ $first -eq 1 ]]; then
		_ayre_answer "${words[1]}" 2
	fi
	# Where a value begins after its '=', answers are of the value alone.
	[[ $current != --*=* ]] || current=${current#*=}
	joined=${current%"${current##*:}"}
	[[ $COMP_WORDBREAKS == *:* ]] || joined=
	for ((at = 0; at < ${#COMPREPLY[@]}; at++)); do
		COMPREPLY[at]=${COMPREPLY[at]#"$joined"}
	done
}

complete -F _ayre ayre
