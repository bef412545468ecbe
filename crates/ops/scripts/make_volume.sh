# shellcheck shell=sh
# Makes a volume as it was made before. Its options may hold a password: they stand on no command line.
# $1 the engine's socket. Input: what the engine is asked for, as JSON
# (https://docs.docker.com/reference/api/engine/, POST /volumes/create).
# Exit code: of curl, 22 where the engine refuses.
exec curl -sS --fail-with-body --max-time 25 --unix-socket "$1" -H 'Content-Type: application/json' \
  --data-binary @- http://docker/volumes/create
