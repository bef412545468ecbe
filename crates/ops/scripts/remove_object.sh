# shellcheck shell=sh
# Removes a secret, config or network of the swarm. Tried for 20 s: a task that has just stopped may still hold it.
# $1 kind ("secret", "config", "network"), $2 name or id.
# Exit code: 0 also when it is not there; 1 when it could not be removed.
i=0; until said=$(docker "$1" rm -- "$2" 2>&1); do
    case $said in *"not found"*|*"No such"*) exit 0 ;; esac
    i=$((i + 1)); [ $i -lt 20 ] || { echo "$said" >&2; exit 1; }; sleep 1
done
