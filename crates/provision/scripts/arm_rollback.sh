# shellcheck shell=sh
# Arms a rollback guard: the node runs the script of standard input by itself, unless confirm_change.sh
# comes first. A change of an earlier run that was not confirmed is taken back first.
# $1 name of the guard's unit, $2 in how many seconds; the rest are the script's arguments.
# Exit code: not 0 when it could not be armed.
# The folders above it are there, or may be open.
# shellcheck disable=SC2174
set -e
u=$1; d=/run/matou; t=$2; shift 2
mkdir -p -m 700 "$d"
if systemctl --quiet is-active "$u.timer"; then
    systemctl stop "$u.timer"
    sh "$d/$u.sh" "$@"
fi
cat >"$d/$u.sh"
rm -f "$d/$u.done"
# What is in single quotes is for another shell.
# shellcheck disable=SC2016
systemd-run --quiet --collect --unit="$u" --on-active="$t" --timer-property=AccuracySec=1s \
    sh -c 'f=$1; shift; sh "$f.sh" "$@"; echo $? >"$f.done"' sh "$d/$u" "$@"
