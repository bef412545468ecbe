# shellcheck shell=sh
# Prints what restores of an application keep beside the volumes of a node's engine.
# $1 application.
# Exit code: docker's when it does not tell where volumes are; else 0.
root=$(docker info --format '{{.DockerRootDir}}') || exit
set -- "$root/matou-restores/$1" "$root/matou-restores/$1".* "$root/matou-restores/$1"~*
for p; do [ ! -e "$p" ] && [ ! -L "$p" ] || printf '%s\n' "$p"; done
