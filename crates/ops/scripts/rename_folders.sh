# shellcheck shell=sh
# Renames folders. Never replaces and never copies.
# Three arguments for each: what ("mark", "unmark", "place" or anything else), from, to.
# Exit code: 1 when the target exists, or is on another file system or mount.
# The folders above it are there, or may be open.
# shellcheck disable=SC2174
set -e
mount_of() { sed -n 's/^mnt_id:[[:space:]]*//p' /proc/self/fdinfo/0 <"$1"; }
there() { [ -e "$1" ] || [ -L "$1" ]; }
while [ $# -ge 3 ]; do
    what=$1; from=$2; to=$3; shift 3
    case $what in
    unmark) rm -f -- "$to"; continue ;;
    place) mkdir -p -- "$(dirname "$to")" ;;
    *) mkdir -p -m 700 -- "$(dirname "$to")" ;;
    esac
    case $what in mark) : >"$to"; continue ;; esac
    if there "$to"; then echo "$to is there already: nothing is replaced" >&2; exit 1; fi
    a=$(mount_of "$(dirname "$from")"); b=$(mount_of "$(dirname "$to")")
    if [ -z "$a" ] || [ "$a" != "$b" ]; then
        echo "$from is on another file system than $to: it can't be exchanged" >&2; exit 1
    fi
    mv -T -- "$from" "$to"
done
sync
