# shellcheck shell=sh
# Has a container of the practice fleet join the swarm; it may be in it already. By the API, with the
# token in the request's body: not on a command line. A line before this script says what $token is.
# A join that takes longer than the engine's 20 s is answered 503, and goes on: its state tells. One that
# failed while it went on is given up by the engine (moby, daemon/cluster: a node that was never ready is
# not tried again): it is left and asked for anew.
# $1 its address, $2 the manager's.
# Exit code: 0, or 1 with the engine's answers and its last state on standard error.

# Waits while the engine is on its way into the swarm. Fails where it is not, or not within a minute; $state
# tells.
wait_until_active() {
    i=0
    while [ $i -lt 120 ]; do
        state=$(docker info --format '{{.Swarm.LocalNodeState}}')
        case $state in
        active) return 0 ;;
        pending) sleep 0.5 ;;
        *) return 1 ;;
        esac
        i=$((i + 1))
    done
    return 1
}

wait_until_active && exit 0
for attempt in 1 2 3; do
    [ "$state" = inactive ] || docker swarm leave --force >/dev/null
    # The line before it sets $token.
    # shellcheck disable=SC2154
    said=$(curl -sS --fail-with-body --unix-socket /var/run/docker.sock -H 'Content-Type: application/json' \
        --data @- http://docker/swarm/join 2>&1 <<BODY
{"ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"$1","RemoteAddrs":["$2:2377"],"JoinToken":"$token"}
BODY
    ) && exit 0
    wait_until_active && exit 0
    printf 'attempt %s: %s\n' "$attempt" "$said" >&2
    sleep 2
done
docker info --format 'its engine: {{.Swarm.LocalNodeState}} {{.Swarm.Error}}' >&2
exit 1
