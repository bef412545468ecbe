# shellcheck shell=sh
# Writes standard input as a report of a night, and removes the oldest ones.
# $1 folder, $2 name, $3 how many are kept, $4 size in bytes.
# Exit code: not 0 when it arrived incomplete or could not be written.
# The names are times, made here.
# shellcheck disable=SC2012
set -e
umask 022
mkdir -p -- "$1"
cd -- "$1"
cat >"$2.new"
[ "$(wc -c <"$2.new")" -eq "$4" ]
mv -f -- "$2.new" "$2"
ls -1 | head -n "-$3" | xargs -r rm -f --
