#compdef ayre
# What is always the same of zsh's completion; 'ayre completion zsh' adds what each command takes.

# Names that there are, of ayre's topics or segments.
_ayre_names()
{
	local -a lines
	lines=(${(f)"$(_call_program $1s $_ayre_program $1 list 2>/dev/null)"})
	lines=(${lines:#((file|memfd):*|(SEGMENT|TOPIC)  *|*\(removed\))})
	lines=(${lines%%  *})
	_wanted $1s expl $1 compadd -a "$@[2,-1]" - lines
}

_ayre_topic()
{
	if [[ $PREFIX == */* ]]; then
		_directories
	else
		_ayre_names topic
	fi
}

_ayre_segment()
{
	if compset -P '(file|sysv):' || [[ $PREFIX == */* ]]; then
		_files
	else
		_ayre_names segment
	fi
}

# Stages of a pipeline, each with the completion of its own program.
_ayre_pipeline()
{
	local -i last=${words[1,CURRENT-1][(I)(::|\|)]}
	(( last == 0 )) || shift $last words
	(( CURRENT -= last ))
	_normal
}

_ayre()
{
	local _ayre_program=$words[1] name=
	local curcontext=$curcontext
	local -a verbs
	if (( CURRENT == 2 )); then
		_ayre_verbs
		verbs+=('help:More about one of them')
		if [[ $PREFIX == -* ]]; then
			_arguments '(- *)--help[what there is]' '(- *)--version[of the library that runs]'
		else
			_describe -t commands command verbs
		fi
		return
	fi
	if [[ $words[2] == help ]]; then
		shift words
		(( CURRENT-- ))
		if (( CURRENT == 2 )); then
			_ayre_verbs
			_describe -t commands command verbs
		elif _ayre_verbs $words[2] && (( CURRENT == 3 )); then
			_describe -t commands command verbs
		fi
		return
	fi
	name=$words[2]
	shift words
	(( CURRENT-- ))
	if _ayre_verbs $name; then
		if (( CURRENT == 2 )); then
			if [[ $PREFIX == -* ]]; then
				_arguments '(- *)--help[these]'
			else
				_describe -t commands command verbs
			fi
			return
		fi
		name+=" $words[2]"
		shift words
		(( CURRENT-- ))
	fi
	_ayre_command $name
}
