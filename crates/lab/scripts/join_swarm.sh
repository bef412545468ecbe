# shellcheck shell=sh
# Has a container of the practice fleet join the swarm; it may be in it already. By the API, with the
# token in the request's body: not on a command line. A line before this script says what $token is.
# $1 its address, $2 the manager's.
# Exit code: 0, or curl's.
# The line before it sets $token.
# shellcheck disable=SC2154
docker info --format '{{.Swarm.LocalNodeState}}' | grep -qx active && exit 0
curl -sS --fail-with-body --unix-socket /var/run/docker.sock -H 'Content-Type: application/json' \
    --data @- http://docker/swarm/join <<BODY
{"ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"$1","RemoteAddrs":["$2:2377"],"JoinToken":"$token"}
BODY
