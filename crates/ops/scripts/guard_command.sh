# shellcheck shell=sh
# Watches over a command in a container for as long as somebody wants it, and ends it when nobody does.
# $1 id of the container, $2 what stands in the environment of the command and all that it starts
# (NAME=VALUE), $3 seconds of silence after which nobody is believed to be there, $4 seconds between
# asking the command to end and killing it.
#
# Its input is one byte a sign of life: q when the command has ended, k to end it, p and ten digits, the
# number of the command's process on this node, any other to go on. Input that ends, or is silent for long, is
# a reason to end it too; then it is looked for a while longer: the engine may just be starting it.
# Prints `ready` when it watches, `left N` where N processes could not be ended.
# Exit code: 0, 1 where something is left.
#
# What a process says of itself is the container's word: only what the kernel counts to the container is
# ever ended.
container=$1 mark=$2 silent=$3 grace=$4 pid=-
list_processes() {
    # By control group; then by environment, by session, and by who started whom.
    members=$(grep -l -s -F -e "$container" /proc/[0-9]*/cgroup | cut -d / -f 3)
    [ -n "$members" ] || return 0
    marked=$(for m in $members; do
        ! grep -q -s -F -e "$mark" "/proc/$m/environ" || echo "$m"
    done)
    # shellcheck disable=SC2086
    for m in $members; do cat "/proc/$m/status" 2>/dev/null; done |
        awk -v pid="$pid" -v marked="$marked" -v members="$members" '
            BEGIN {
                n = split(members, list); for (i = 1; i <= n; i++) ours[list[i]] = 1
                n = split(marked, list); for (i = 1; i <= n; i++) wanted[list[i]] = 1
            }
            $1 == "State:" { state = $2 }
            $1 == "Pid:" { p = $2 }
            $1 == "PPid:" { parent[p] = $2 }
            $1 == "NSsid:" {
                if (state == "Z" || state == "X") { dead[p] = 1 }
                if (p == pid || $2 == pid) { wanted[p] = 1 }
            }
            END {
                do {
                    more = 0
                    for (p in parent) if (!(p in wanted) && (parent[p] in wanted)) { wanted[p] = 1; more = 1 }
                } while (more)
                for (p in wanted) if ((p in ours) && (p in parent) && !(p in dead)) print p
            }'
}
# All at once: a shell whose command ends before itself would go on with the next one.
# Nothing is left stopped.
# shellcheck disable=SC2086
end_all() { # end_all SIGNAL
    trap '' HUP INT TERM PIPE
    kill -STOP $found 2>/dev/null
    kill "-$1" $found 2>/dev/null
    kill -CONT $found 2>/dev/null
    trap - HUP INT TERM PIPE
}
end_command() { # end_command TENTHS: how long it is looked for while there is none
    i=0 asked=-1
    while :; do
        found=$(list_processes)
        if [ -z "$found" ]; then
            [ "$i" -lt "$1" ] || return 0
        elif [ $asked -lt 0 ]; then
            asked=$i
            end_all TERM
        elif [ $((i - asked)) -ge $((grace * 10)) ]; then
            end_all KILL
            [ $((i - asked)) -lt $((grace * 10 + 100)) ] || break
        fi
        i=$((i + 1)); sleep 0.1
    done
    # shellcheck disable=SC2086
    set -- $found
    echo "left $#"
    exit 1
}
echo ready
while x=$(timeout --foreground "$silent" head -c 1) && [ -n "$x" ]; do
    case $x in
    q) exit 0 ;;
    k)
        # Without its number the engine may just be starting it.
        case $pid in -) end_command 30 ;; *) end_command 0 ;; esac
        exit 0
        ;;
    p) pid=$(timeout --foreground "$silent" head -c 10) ;;
    esac
done
end_command 100
