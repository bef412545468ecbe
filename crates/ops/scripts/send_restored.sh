# shellcheck shell=sh
# Prints a restored folder as an archive: owners, modes, links, attributes, holes of files.
# $1 the folder.
# Exit code: 74 the folder is not there; else tar's.
cd -- "$1" 2>/dev/null || { echo "the folder $1 is not there" >&2; exit 74; }
exec tar -c -f - --format=posix --numeric-owner --sparse --xattrs --acls .
