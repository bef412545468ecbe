# shellcheck shell=sh
# Removes a stack. Docker does not wait for the tasks, and swarm keeps a network that one of them has
# ("is in use by task", swarmkit's removeNetwork): what is left is removed again, 15 times. So is what is
# "not found" any more: a node lists a network still that the swarm has lost, and another removal, of
# a matou that was killed, may go on beside this one.
# $1 stack.
# Exit code: 1 when something of it could not be removed.
i=0 told='' new=''
until said=$(docker stack rm -- "$1" 2>&1); do
    [ "$said" = "$told" ] || { printf '%s\n' "$said"; new=1; }
    case $said in
        *" is in use by "*) why="still in use: end what uses it, then remove again" word="in use" ;;
        *"not found"* | *"o such "*) why="a network is listed that can't be found: remove again" word="going already" ;;
        *) exit 1 ;;
    esac
    i=$((i + 1)); [ $i -lt 15 ] || { echo "$why"; exit 1; }
    [ -z "$new" ] || echo "$word: tried again every second, up to 15 times"
    new='' told=$said; sleep 1
done
printf '%s\n' "$said"
