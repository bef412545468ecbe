# shellcheck shell=sh
# Writes standard input as a file, completely or not at all: the size is checked before the rename,
# because a cut connection ends the input early.
# $1 path, $2 mode, $3 size in bytes, $4 `create`: the folder above is made, for root alone.
# Exit code: not 0 when it arrived incomplete or could not be written; the old file is there then.
set -e
umask 077
[ "${4-}" != create ] || mkdir -p -- "$(dirname -- "$1")"
tmp=$(mktemp "$1.XXXXXX")
trap 'rm -f "$tmp"' EXIT
cat >"$tmp"
[ "$(wc -c <"$tmp")" -eq "$3" ] || { echo 'it arrived incomplete' >&2; exit 1; }
chmod "$2" "$tmp"
sync "$tmp"
mv -f "$tmp" "$1"
sync "$(dirname "$1")"
trap - EXIT
