# shellcheck shell=sh
# Removes the volumes of a stack. Each is tried for 20 s: a container that has just stopped holds its
# volume a moment longer.
# $1 stack.
# Exit code: 1 when one could not be removed.
for v in $(docker volume ls -q --filter "label=com.docker.stack.namespace=$1"); do
    i=0
    until docker volume rm -- "$v" >/dev/null; do
        i=$((i + 1)); [ $i -lt 20 ] || exit 1; sleep 1
    done
done
