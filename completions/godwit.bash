# SPDX-License-Identifier: Apache-2.0
# bash completion for godwit(1); works with and without the package bash-completion
# shellcheck shell=bash

# What `godwit help` says, so that commands and flags are always those of the program.
# No settings are read: a mistake in them must not end completion.
_godwit_help() {
	local program=$1

	shift
	GODWIT_CONFIG='' GODWIT_PARK='' GODWIT_UDP_IDLE='' GODWIT_CONGESTION='' GODWIT_BEACON='' GODWIT_RELAY_ONLY='' GODWIT_INVITE='' \
		GODWIT_NO_SANDBOX='' \
		"$program" help "$@" --home /dev/null 2>/dev/null
}

_godwit_commands() {
	_godwit_help "$1" | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p'
}

# "--flag VALUE" takes a value, "--flag" does not.
_godwit_flags() {
	_godwit_help "$1" "$2" | sed -nE 's/^  (-[-a-z]+)( [A-Za-z][A-Za-z:=|]*)? .*/\1\2/p'
}

# The names of the home's file `names`.
_godwit_names() {
	local file

	if [[ $1 ]]; then
		file=$1/names
	elif [[ ${XDG_STATE_HOME-} == /* ]]; then
		file=$XDG_STATE_HOME/godwit/names
	else
		file=${HOME-}/.local/state/godwit/names
	fi
	[[ -r $file ]] && sed -n 's/^[[:space:]]*\([^#[:space:]][^[:space:]]*\)[[:space:]].*/\1/p' "$file"
}

# The networks of the home.
_godwit_networks() {
	local directory

	if [[ $1 ]]; then
		directory=$1/networks
	elif [[ ${XDG_STATE_HOME-} == /* ]]; then
		directory=$XDG_STATE_HOME/godwit/networks
	else
		directory=${HOME-}/.local/state/godwit/networks
	fi
	[[ -d $directory ]] && ls "$directory"
}

_godwit_words() {
	local word

	while IFS= read -r word; do
		[[ $word && $word == "$2"* ]] && COMPREPLY+=("$word")
	done <<<"$1"
}

# What bash replaces begins after the last ":" (if it breaks words there).
_godwit_prefix() {
	[[ ${COMP_WORDBREAKS-:} == *:* ]] || printf '%s' "$1"
}

# _godwit_paths d|f PATH [PREFIX]: directories or files.
_godwit_paths() {
	local path

	compopt -o filenames 2>/dev/null
	while IFS= read -r path; do
		[[ $path ]] && COMPREPLY+=("$(_godwit_prefix "${3-}")$path")
	done < <(compgen "-$1" -- "$2")
}

# env:NAME, file:PATH, fd:N, and further words.
_godwit_source() {
	case $1 in
	file:*) _godwit_paths f "${1#file:}" file: ;;
	env:*)
		_godwit_words "$(compgen -e)" "${1#env:}"
		COMPREPLY=("${COMPREPLY[@]/#/$(_godwit_prefix env:)}")
		;;
	*)
		_godwit_words $'env:\nfile:\nfd:'"${2-}" "$1"
		compopt -o nospace 2>/dev/null
		;;
	esac
}

# The value of a flag.
_godwit_value() {
	case $1 in
	--home) _godwit_paths d "$2" ;;
	--config) _godwit_paths f "$2" ;;
	--congestion) _godwit_words $'bbr\ncubic' "$2" ;;
	--store) _godwit_words memory "$2" ;;
	--tls-listen) _godwit_words none "$2" ;;
	--for) _godwit_words "$(_godwit_names "$3")" "$2" ;;
	--allow) _godwit_words $'any\nnetwork:\ngroup:\n'"$(_godwit_names "$3")" "$2" ;;
	--dial) _godwit_words "$(_godwit_names "$3")" "$2" ;;
	--policy) _godwit_paths f "$2" ;;
	--audit) _godwit_words none "$2" ;;
	--invite) _godwit_source "$2" ;;
	--identity) _godwit_source "$2" $'\nephemeral' ;;
	esac
}

_godwit() {
	local line=${COMP_LINE-} point=${COMP_POINT-} program=${COMP_WORDS[0]}
	local command flags flag taken cur word home=${GODWIT_HOME-} i n
	local -a words=() position=()

	COMPREPLY=()
	# Bash breaks words at "=" and ":"; here they belong to the word.
	if [[ $line && $point ]]; then
		# shellcheck disable=SC2162 # backslashes quote here, as on the line itself
		read -a words <<<"${line:0:point}"
		[[ ${line:0:point} == *[[:space:]] ]] && words+=("")
	else
		words=("${COMP_WORDS[@]:0:COMP_CWORD+1}")
	fi
	n=$((${#words[@]} - 1))
	cur=${words[n]}
	program=${program/#\~\//${HOME-}/}
	if ((n <= 1)); then
		_godwit_words "$(_godwit_commands "$program")" "$cur"
		return
	fi
	command=${words[1]}
	flags=$(_godwit_flags "$program" "$command")

	flag=
	for ((i = 2; i < n; i++)); do
		word=${words[i]}
		if [[ $flag ]]; then
			[[ $flag == --home ]] && home=$word
			flag=
		elif [[ $word == --home=* ]]; then
			home=${word#*=}
		elif [[ $word == -* && $word != *=* && $'\n'$flags == *$'\n'"$word "* ]]; then
			flag=$word
		elif [[ $word != -* ]]; then
			position+=("$word")
		fi
	done
	home=${home/#\~\//${HOME-}/}

	if [[ $flag ]]; then
		_godwit_value "$flag" "$cur" "$home"
	elif [[ $cur == --*=* ]]; then
		_godwit_value "${cur%%=*}" "${cur#*=}" "$home"
	elif [[ $cur == -* ]]; then
		taken=
		while read -r word _; do
			taken+=$word$'\n'
		done <<<"$flags"
		_godwit_words "$taken" "$cur"
	else
		case $command,${#position[@]} in
		help,0) _godwit_words "$(_godwit_commands "$program")" "$cur" ;;
		debug,0) _godwit_words $'move\nbreak\nrebind' "$cur" ;;
		ticket,0) _godwit_words show "$cur" ;;
		policy,0) _godwit_words $'show\ncheck\nreload' "$cur" ;;
		policy,1) [[ ${position[0]} == check ]] && _godwit_words "$(_godwit_names "$home")" "$cur" ;;
		network,0) _godwit_words $'create\nshow\ninvite\njoin\nmembers\nrevoke\nrenew\nexport\nca\nendorse' "$cur" ;;
		network,1)
			case ${position[0]} in
			show | invite | members | revoke | renew | export | ca | endorse)
				_godwit_words "$(_godwit_networks "$home")" "$cur"
				;;
			join) _godwit_source "$cur" ;;
			esac
			;;
		network,2) [[ ${position[0]} == revoke ]] && _godwit_words "$(_godwit_names "$home")" "$cur" ;;
		connect,0 | ping,0 | bench,0 | forward,1)
			_godwit_words "$(_godwit_names "$home")" "$cur"
			# A service follows.
			[[ $command == connect || $command == forward ]] && compopt -o nospace 2>/dev/null
			;;
		expose,0 | forward,0)
			if [[ $cur == unix:* ]]; then
				_godwit_paths f "${cur#unix:}" unix:
			else
				_godwit_words $'unix:\nudp:' "$cur"
				compopt -o nospace 2>/dev/null
			fi
			;;
		esac
	fi
}

complete -F _godwit godwit
