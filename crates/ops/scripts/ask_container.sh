# shellcheck shell=sh
# Sends standard input to a port of a container, from within its own network, and prints what is answered.
# $1 container, $2 port, $3 seconds that it may take.
# Exit code: not 0 when the container does not run, or nothing listens; 124 when the time was up.
set -e
pid=$(docker inspect --format '{{.State.Pid}}' -- "$1")
[ "$pid" -gt 0 ] || { echo "it does not run" >&2; exit 1; }
# Files below /dev/tcp are bash's own. The inner shell expands its own arguments.
# shellcheck disable=SC2016
exec nsenter --target "$pid" --net -- timeout "$3" bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    cat >&3; exec head -c 262144 <&3' bash "$2"
