# shellcheck shell=sh
# Removes a stack. Docker does not wait for the tasks, and swarm keeps a network that one of them has
# ("is in use by task", swarmkit's removeNetwork): what is left is removed again, 15 times.
# $1 stack.
# Exit code: 1 when something of it could not be removed.
i=0 told='' new=''
until said=$(docker stack rm -- "$1" 2>&1); do
    [ "$said" = "$told" ] || { printf '%s\n' "$said"; new=1; }
    case $said in *" is in use by "*) ;; *) exit 1 ;; esac
    i=$((i + 1)); [ $i -lt 15 ] || { echo "still in use: end what uses it, then remove again"; exit 1; }
    [ -z "$new" ] || echo "in use: tried again every second, up to 15 times"
    new='' told=$said; sleep 1
done
printf '%s\n' "$said"
