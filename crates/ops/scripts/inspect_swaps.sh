# shellcheck shell=sh
# Prints what exists of each swap, a line each, as 0 or 1: live, new, old, mark.
# $1 folder of the restore, then four paths for each swap.
# Exit code: 1 when that folder is missing: its disk is not mounted.
there() { if [ -e "$1" ] || [ -L "$1" ]; then printf 1; else printf 0; fi; }
[ $# = 1 ] || [ -d "$1" ] || { echo "$1 is not there: is its disk mounted?" >&2; exit 1; }
shift
for p; do there "$p"; n=$((n + 1)); [ $((n % 4)) != 0 ] || echo; done
