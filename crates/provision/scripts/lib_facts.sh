# shellcheck shell=sh
# What the script that gathers the facts of a node begins with; its parts come after it. A part's name
# stands before it, its exit code in front of the next. A line before this one says what $nonce is.
# part CODE NAME: ends a part and begins the next. show FILE: prints it, without a process.
# The line before it sets $nonce.
# shellcheck disable=SC2154
exec </dev/null 2>/dev/null
PATH=$PATH:/usr/sbin:/sbin
part() { printf '\n%s %s %s\n' "$nonce" "$1" "$2"; }
show() { while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done <"$1"; }
