# shellcheck shell=sh
# Makes a container of the practice fleet the manager of a swarm; it may be one already. Prints the token
# with which workers join.
# $1 its address.
# Exit code: docker's.
docker info --format '{{.Swarm.LocalNodeState}}' | grep -qx active || docker swarm init --advertise-addr "$1" >/dev/null
docker swarm join-token --quiet worker
