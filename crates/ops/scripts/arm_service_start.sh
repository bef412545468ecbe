# shellcheck shell=sh
# Gives a service that has no tasks its tasks back after a time, unless that is called off before: whoever
# stopped it may not live to start it again.
# $1 name of the unit, $2 in how many seconds ("off": not any more), $3 id of the service, $4 how many tasks.
# Exit code: not 0 when it could not be armed.
systemctl stop "$1.timer" 2>/dev/null
[ "$2" != off ] || exit 0
# What is in single quotes is for another shell; systemd would expand ${…} and $$ in it.
# shellcheck disable=SC2016
exec systemd-run --quiet --collect --unit="$1" --on-active="$2" --timer-property=AccuracySec=1s sh -c '
    [ "$(docker service inspect --format "{{.Spec.Mode.Replicated.Replicas}}" -- "$1")" = 0 ] || exit 0
    exec docker service scale --detach "$1=$2"' sh "$3" "$4"
