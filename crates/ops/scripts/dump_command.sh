# shellcheck shell=sh
# Makes a dump by the stack's own line of shell, $line, to $tmp. lib_dump.sh stands before it,
# finish_dump.sh comes after it.
# Exit code: the line's.
# lib_dump.sh sets $line and $tmp.
# shellcheck disable=SC2154
sh -c "$line" >"$tmp" </dev/null
