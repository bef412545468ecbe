# shellcheck shell=sh
# Writes standard input as a file, whole or not at all.
# $1 the file; the folder above it is made.
# Exit code: 0 done.
set -e; umask 077
mkdir -p -- "$(dirname -- "$1")"
cat >"$1.new"; sync -- "$1.new"; mv -f -T -- "$1.new" "$1"
