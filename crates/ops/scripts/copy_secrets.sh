# shellcheck shell=sh
# Copies the secrets of a snapshot to where values are kept; those that are there already win.
# $1 folder of the snapshot, $2 where they are kept, $3 not empty to copy only if none are kept.
# Exit code: 0 also when the snapshot has none; not 0 when copying failed.
# The mask closes the folders above it.
# shellcheck disable=SC2174
set -e
umask 077
[ -d "$1" ] || exit 0
mkdir -p -m 700 -- "$2"
# What a backup keeps of what others made is none of them, nor what was cut off.
[ -z "$3" ] || [ -z "$(find "$2" -mindepth 1 ! -name '*.external-*' ! -name '.tmp-*')" ] || exit 0
find "$1" -maxdepth 1 -type f ! -name '.tmp-*' -exec cp -pn -t "$2" -- {} +
