# shellcheck shell=sh
# Tests a volume by writing into it in a container, of an image made of this node's own shell, so that no
# registry is needed.
# $1 name of the volume, $2 token, which is written; the rest are options of docker volume create.
# Exit code: 1 when a container could not write to it.
set -e
volume=$1; token=$2; shift 2
image=matou/probe:$token
d=$(mktemp -d)
clean() {
    docker volume rm --force "$volume" >/dev/null 2>&1 || :
    docker image rm --force "$image" >/dev/null 2>&1 || :
    rm -rf "$d"
}
trap clean EXIT
sh=$(readlink -f /bin/sh)
for f in "$sh" $(ldd "$sh" | grep -o '/[^ )]*'); do install -D "$(readlink -f "$f")" "$d/root$f"; done
tar -C "$d/root" -cf "$d/root.tar" .
docker import "$d/root.tar" "$image" >/dev/null
docker volume create "$@" "$volume" >/dev/null
# What is in single quotes is for another shell.
# shellcheck disable=SC2016
timeout 60 docker run --rm --network=none --volume "$volume:/v" "$image" "$sh" -c 'echo "$0" >/v/token' "$token" || {
    echo "a container could not write to the volume (exit code $?)" >&2; exit 1; }
