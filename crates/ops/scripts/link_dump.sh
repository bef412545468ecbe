# shellcheck shell=sh
# Puts a dump into the volume of its database: a link if both are on one file system, else a copy.
# lib_check_plain_file.sh stands before it.
# $1 dump, $2 its place in the volume.
# Exit code: 1 when the dump is no plain file, or could not be put there.
set -e; rm -f -- "$2"; plain "$1"; chmod 644 -- "$1"
ln -T -- "$1" "$2" 2>/dev/null || cp -P --remove-destination -T -- "$1" "$2"
