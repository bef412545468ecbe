# shellcheck shell=sh
# Makes the settings that change_sshd.sh has tried last. lib_tentative_files.sh stands before it.
# $1 file of the settings (the new ones are in $1.new).
# Exit code: not 0 when they could not be kept.
set -e
for_good "$1.new" "$1"
rm -f "$1.before"
