# shellcheck shell=sh
# Moves everything out of a folder into the one above; nothing is replaced.
# $1 the folder above, $2 name of the folder in it, which is removed.
# Exit code: 1 when something of that name is there already.
set -e; cd -- "$1/$2"
for p in * .[!.]* ..?*; do
    { [ -e "$p" ] || [ -L "$p" ]; } || continue
    if [ -e "../$p" ] || [ -L "../$p" ]; then echo "$1/$p is there already" >&2; exit 1; fi
    mv -T -- "$p" "../$p"
done
cd ..; rmdir -- "$2"; sync
