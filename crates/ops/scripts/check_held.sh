# shellcheck shell=sh
# Says whether a folder has any of some names.
# $1 the folder; the rest are names in it.
# Prints "there", or "nothing".
# Exit code: 0.
cd -- "$1" 2>/dev/null || { echo nothing; exit 0; }
shift
for n; do if [ -e "./$n" ] || [ -L "./$n" ]; then echo there; exit 0; fi; done
echo nothing
