# shellcheck shell=sh
# Merges the archive on standard input into a folder. Files below replace/ replace existing ones; files
# below add/ are only added. Each file is on the disk before it gets its name.
# $1 folder, $2 the author's note, $3 the application that it is about; none when empty.
# Exit code: not 0 when the archive is not whole, or another one wrote there for half a minute.
# The mask closes the folders above it.
# shellcheck disable=SC2174
set -e; umask 077; d=$1
mkdir -p -m 700 -- "$d"
exec 9<"$d"; flock -w 30 9 || { echo "another one has written here for half a minute" >&2; exit 1; }
rm -rf -- "$d.new"; mkdir -m 700 -- "$d.new"; trap 'rm -rf -- "$d.new"' EXIT
tar -x -C "$d.new" --no-same-owner -f -
[ -e "$d.new/.whole" ] || { echo "it arrived incomplete" >&2; exit 1; }
if [ -n "$3" ]; then mkdir -p -- "$d.new/replace/written"; printf '%s\n' "$2" >"$d.new/replace/written/$3"; fi
find "$d.new" -type f -exec sync -- {} +
for how in replace add; do
    [ -d "$d.new/$how" ] || continue
    cd -- "$d.new/$how"
    find . -type f -exec sh -c 'to=$0; how=$1; shift
        for p; do
            [ "$how" = replace ] || [ ! -e "$to/$p" ] || continue
            mkdir -p -- "$to/${p%/*}" && mv -f -T -- "$p" "$to/$p" || exit 1
        done' "$d" "$how" {} +
done
cd -- "$d"; find . -type d -exec sync -- {} +
