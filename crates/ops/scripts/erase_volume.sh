# shellcheck shell=sh
# Removes a volume. Tried for 20 s: a container that has just stopped may still hold it.
# $1 volume.
# Exit code: 0 also when it is not there; 1 when it could not be removed.
i=0; until said=$(docker volume rm -- "$1" 2>&1); do
    case $said in *"no such volume"*|*"No such volume"*) exit 0 ;; esac
    i=$((i + 1)); [ $i -lt 20 ] || { echo "$said" >&2; exit 1; }; sleep 1
done
