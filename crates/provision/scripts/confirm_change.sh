# shellcheck shell=sh
# Confirms a change: disarms the rollback guard, unless it has run, then runs the script of standard input,
# which makes the change last. When that fails, the change is taken back.
# $1 name of the guard's unit; the rest are the script's arguments.
# Exit code: 1 when the guard has run already; 76 when the change could not be kept.
set -e
u=$1; d=/run/matou; shift
keep=$(cat; echo .)
systemctl stop "$u.timer"
if [ -e "$d/$u.done" ] || systemctl --quiet is-active "$u.service"; then
    echo "the node has taken it back already" >&2; exit 1
fi
trap '' HUP PIPE
sh -c "${keep%.}" sh "$@" && exit
sh "$d/$u.sh" "$@"
exit 76
