# shellcheck shell=sh
# Prints a file of a volume: a regular one, reached through no link.
# $1 folder of the volume, $2 path in it.
# Exit code: 1 when it is none.
set -e; cd -P -- "$1"; root=$(pwd -P); f=$root/$2
# Both have to hold.
# shellcheck disable=SC2015
[ "$(realpath -e -- "$f")" = "$f" ] && [ -f "$f" ] || { echo "$2 is no plain file of its volume" >&2; exit 1; }
exec dd bs=1M iflag=nonblock,nofollow status=none if="$f"
