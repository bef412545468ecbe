# shellcheck shell=sh
# Makes an empty data folder for a database, with owner and mode of the first of two folders that exists.
# $1 the new folder; what is there is removed. $2 and $3 the folders.
# Exit code: not 0 when it could not be made.
# The folders above it are there, or may be open.
# shellcheck disable=SC2174
set -e
rm -rf -- "$1"
mkdir -p -m 700 -- "$(dirname "$1")"
mkdir -m 755 -- "$1"
for r in "$2" "$3"; do
    [ -d "$r" ] || continue
    chown --reference="$r" -- "$1"
    chmod --reference="$r" -- "$1"
    break
done
