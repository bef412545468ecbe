# shellcheck shell=sh
# Removes the folders of a throw-away application: those of its volumes, its secrets, what was restored for it.
# $1 the folder of all applications' data, $2 its name; then more folders that are its own.
# Exit code: not 0 when one could not be removed.
set -e
data=$1 name=$2; shift 2
rm -rf --one-file-system -- "$data/${name}"_* "$data/.matou/secrets/$name" "$data/.matou/restores/$name" "$@"
