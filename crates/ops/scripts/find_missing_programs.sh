# shellcheck shell=sh
# Prints `missing NAME` for each program that a running container has not, and `process NAME` for each of its
# processes. Runs on the container's node as root: its image need not have a shell.
# $1 the container, the others programs, by their names or paths.
container=$1
shift
pid=$(docker inspect --format '{{.State.Pid}}' -- "$container")
path=$(docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' -- "$container" | sed -n 's/^PATH=//p')
[ -n "$path" ] || path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
root=/proc/$pid/root
# A link may lead to a place that is only there within the container.
has() { [ -e "$root$1" ] || [ -L "$root$1" ]; }
in_path() {
    rest=$path:
    while [ -n "$rest" ]; do
        if has "${rest%%:*}/$1"; then return 0; fi
        rest=${rest#*:}
    done
    return 1
}
for program; do
    case $program in
    /*) has "$program" || printf 'missing %s\n' "$program" ;;
    *) in_path "$program" || printf 'missing %s\n' "$program" ;;
    esac
done
docker top "$container" -eo pid,comm | sed -n '2,$s/^ *[0-9]* */process /p'
