# shellcheck shell=sh
# Removes the folder of a restore.
# $1 folder, $2 "empty-handed" to fail when it holds data set aside.
# Exit code: 1 then, and nothing is removed.
[ "$2" != empty-handed ] || for d in "$1/old" "$1/found"; do
    [ ! -e "$d" ] || [ -z "$(find "$d" -mindepth 1 ! -type d ! -path "$1/old/*.none" -print -quit)" ] || {
        echo "$d still holds data of before: nothing is removed" >&2; exit 1; }
done
rm -rf --one-file-system -- "$1"; sync
