# shellcheck shell=sh
# Gives a part that is whole its place among those that wait for their exchange; the disk has it before.
# $1 the folder of the restore, $2 the number of the part.
# Exit code: not 0 when something is there already.
set -e
umask 077
mkdir -p -- "$1/new"
[ ! -e "$1/new/$2" ] || { echo "$1/new/$2 is there already" >&2; exit 1; }
sync
mv -T -- "$1/coming/$2" "$1/new/$2"
sync
