# shellcheck shell=sh
# Makes a volume as it was made before. Its options may hold a password: they come by standard input.
# $1 name, $2 driver. Input: the options, NAME=VALUE, one a line.
# Exit code: of docker.
name=$1
set -- --driver "$2"
while IFS= read -r option; do set -- "$@" --opt "$option"; done
docker volume create "$@" -- "$name" </dev/null
