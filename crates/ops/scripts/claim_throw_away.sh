# shellcheck shell=sh
# Claims a name for a throw-away application, before anything is made under it: what has the name and was not
# claimed is somebody's own, and is not to be removed.
# $1 the folder of all applications' data, $2 the name.
# Exit code: 0 it is claimed, now or before; 3 something has the name, which is printed.
set -e
mark=$1/.matou/throw-away/$2
[ ! -e "$mark" ] || exit 0
for own in "$1/${2}"_* "$1/.matou/secrets/$2" "$1/.matou/restores/$2" "$1/.matou/dumps/$2"; do
    if [ -e "$own" ] || [ -L "$own" ]; then printf '%s\n' "$own"; exit 3; fi
done
umask 077
mkdir -p -- "$1/.matou/throw-away"
: >"$mark"
