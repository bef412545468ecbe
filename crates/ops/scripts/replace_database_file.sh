# shellcheck shell=sh
# Replaces a database of SQLite by its dump, which gets owner and mode of the file there. Removes SQLite's
# files beside it. lib_check_plain_file.sh stands before it.
# $1 dump, $2 the file; whatever lies there is replaced.
# Exit code: 1 when the dump is no plain file, or could not be copied.
set -e; plain "$1"
if [ -f "$2" ] && [ ! -L "$2" ]; then chown --reference="$2" -- "$1"; chmod --reference="$2" -- "$1"; fi
rm -f -- "$2-wal" "$2-shm" "$2-journal"; cp -pP --remove-destination -T -- "$1" "$2"
