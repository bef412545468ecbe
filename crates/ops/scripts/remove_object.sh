# shellcheck shell=sh
# Removes a secret or config of the swarm. Tried for 20 s: a task that has just stopped may still hold it.
# $1 kind ("secret", "config"), $2 name.
# Exit code: 0 also when it is not there; 1 when it could not be removed.
i=0; until said=$(docker "$1" rm -- "$2" 2>&1); do
    case $said in *"not found"*|*"No such"*) exit 0 ;; esac
    i=$((i + 1)); [ $i -lt 20 ] || { echo "$said" >&2; exit 1; }; sleep 1
done
