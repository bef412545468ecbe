# shellcheck shell=sh
# Has a container of the practice fleet join the swarm; it may be in it already. By the API, with the
# token in the request's body: not on a command line. A line before this script says what $token is.
# A join that takes longer than the engine's 20 s is answered 503, and goes on: its state tells.
# $1 its address, $2 the manager's.
# Exit code: 0, or 1 with the engine's answer on standard error.
state() { docker info --format '{{.Swarm.LocalNodeState}}'; }
[ "$(state)" = active ] && exit 0
# The line before it sets $token.
# shellcheck disable=SC2154
said=$(curl -sS --fail-with-body --unix-socket /var/run/docker.sock -H 'Content-Type: application/json' \
    --data @- http://docker/swarm/join 2>&1 <<BODY
{"ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"$1","RemoteAddrs":["$2:2377"],"JoinToken":"$token"}
BODY
) && exit 0
i=0
while [ $i -lt 120 ]; do
    case $(state) in
    active) exit 0 ;;
    pending) ;;
    *) break ;;
    esac
    sleep 0.5
    i=$((i + 1))
done
printf '%s\n' "$said" >&2
exit 1
