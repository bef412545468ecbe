# shellcheck shell=sh
# Starts a unit, or finds it running, and prints what it prints until it has ended. The unit's script
# comes on standard input; it may hold secrets, so it lies in a folder of root's own in memory, and is
# gone as soon as it runs.
# $1 name of the unit, $2 its properties (one word each), $3 "begun" when it must not be started; the
# rest are the arguments of its script.
# Exit code: the one of the unit's script; 1 when it could not be started, or left no exit code.
# The mask closes the folders above it.
# shellcheck disable=SC2174
u=$1; props=$2; begun=$3; shift 3; d=/run/matou; umask 077
mkdir -p -m 700 "$d" || exit 1
state() { systemctl is-active "$u.service"; }
state=$(state)
if [ "$state$begun" = deactivating ]; then
    echo "$u was stopped before: waiting, it still ends"
    while [ "$state" = deactivating ]; do sleep 0.3; state=$(state); done
    # Who watches it reads its result first.
    sleep 0.5
fi
if [ "$begun" ] || [ "$state" = active ] || [ "$state" = activating ]; then
    cat >/dev/null
    [ "$begun" ] || echo "it runs already, from before: watching it"
else
    # What is in single quotes is for another shell.
    # shellcheck disable=SC2016
    { echo 'rm -f -- "$0"; trap : INT TERM'; cat; } >"$d/$u.sh" || exit 1
    rm -f "$d/$u.rc"; : >"$d/$u.log"
    # What is in single quotes is for another shell.
    # shellcheck disable=SC2016
    set -- sh -c 'trap : INT TERM; s=$1; shift; sh "$s.sh" "$@"; echo $? >"$s.tmp" && mv "$s.tmp" "$s.rc"' sh "$d/$u" "$@"
    for p in $props; do set -- --property="$p" "$@"; done
    systemd-run --quiet --collect --unit="$u" --setenv=LC_ALL=C --setenv=HOME=/root \
        --property=StandardOutput="append:$d/$u.log" --property=StandardError="append:$d/$u.log" "$@" || { rm -f "$d/$u.sh"; exit 1; }
fi
# Ends with the unit: nothing is polled while it works.
pid=$(systemctl show --property=MainPID --value "$u.service")
case $pid in ''|0) cat "$d/$u.log" ;; *) tail -c +1 -s 0.05 -f --pid="$pid" "$d/$u.log" ;; esac
if [ ! -e "$d/$u.rc" ]; then
    # Killed, or the machine's power was cut: nothing will ever be written.
    sleep 0.5
    [ -e "$d/$u.rc" ] || { rm -f "$d/$u.sh"; echo "$u ended without a result" >&2; exit 1; }
fi
exit "$(cat "$d/$u.rc")"
