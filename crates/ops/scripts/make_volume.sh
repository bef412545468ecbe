# shellcheck shell=sh
# Makes a volume as it was made before. Its options may hold a password: they stand on no command line.
# $1 the engine's socket. Input: what the engine is asked for, as JSON
# (https://docs.docker.com/reference/api/engine/, POST /volumes/create).
# Prints the volume that is there now, as JSON: another one of that name too.
# Exit code: of curl; 22 where the engine refuses, with its words.
said=$(curl -sS -w '\n%{http_code}' --max-time 25 --unix-socket "$1" -H 'Content-Type: application/json' \
  --data-binary @- http://docker/volumes/create) || exit
case ${said##*
} in
2*) printf '%s\n' "${said%
*}" ;;
*) printf '%s\n' "$said" >&2; exit 22 ;;
esac
