# shellcheck shell=sh
# Prints a secret as the engine holds it for a container. The file is the engine's own, in a folder that the
# container can't reach: what the container has at /run/secrets is mounted from there, to be read only.
# $1 the container's whole id, $2 the secret's id, $3 how many bytes at most.
# Exit code: 3 there is no such file.
case $1/$2 in */*/* | /* | */ | *[!0-9a-z/]*) exit 3 ;; esac
root=$(docker info --format '{{.DockerRootDir}}') || exit 1
file=$root/containers/$1/mounts/secrets/$2
if [ -L "$file" ] || [ ! -f "$file" ]; then exit 3; fi
exec head -c "$3" -- "$file"
