# shellcheck shell=sh
# Keeps what comes on standard input as a file, in the place of one that holds something else: root's own
# folder first, then the file, on the disk, then its name.
# $1 folder, $2 file in it, $3 size in bytes.
# Exit code: not 0 when it arrived incomplete, or another one wrote there for 20 s.
set -e; umask 077
mkdir -p -- "$1"; chmod 700 -- "$1"
exec 9<"$1"; flock -w 20 9 || { echo "another one keeps secrets here for 20 s" >&2; exit 1; }
new=$(mktemp "$1/.tmp-XXXXXX"); trap 'rm -f -- "$new"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$new"
[ "$(wc -c <"$new")" -eq "$3" ] || { echo "it arrived incomplete" >&2; exit 1; }
! cmp -s -- "$new" "$2" || exit 0
sync -- "$new"; mv -f -T -- "$new" "$2"; sync -- "$1"
