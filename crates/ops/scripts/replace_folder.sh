# shellcheck shell=sh
# Makes a folder hold what the archive on standard input holds. Each file is replaced in one step, so a
# reader finds the old one or the new one. Writers, and readers that compare, wait for each other.
# $1 folder; the rest are names in it that stay.
# Exit code: not 0 when the archive is not whole, or another one wrote there for half a minute.
# The mask closes the folders above it.
# shellcheck disable=SC2174
set -e; umask 077; d=$1; shift
mkdir -p -m 700 -- "$d"
exec 9<"$d"; flock -w 30 9 || { echo "another one has written here for half a minute" >&2; exit 1; }
rm -rf -- "$d.new"; mkdir -m 700 -- "$d.new"; trap 'rm -rf -- "$d.new"' EXIT
tar -x -C "$d.new" --no-same-owner -f -
[ -e "$d.new/.whole" ] || { echo "it arrived incomplete" >&2; exit 1; }; rm -f -- "$d.new/.whole"
for f; do [ ! -e "$d/$f" ] || [ -e "$d.new/$f" ] || ln -T -- "$d/$f" "$d.new/$f"; done
cd -- "$d"; find . -depth ! -path . -exec sh -c 'new=$0
    for p; do
        if [ -d "$p" ]; then [ -d "$new/$p" ] || rmdir -- "$p"
        else [ -f "$new/$p" ] || rm -f -- "$p"; fi
    done' "$d.new" {} +
cd -- "$d.new"; find . ! -path . -exec sh -c 'to=$0
    for p; do
        if [ -d "$p" ]; then mkdir -p -- "$to/$p"
        else [ "$p" -ef "$to/$p" ] || mv -f -T -- "$p" "$to/$p"; fi
    done' "$d" {} +
