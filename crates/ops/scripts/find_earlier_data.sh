# shellcheck shell=sh
# Prints a path for each part of a restore's folder that holds data set aside: anything but empty folders.
# $1 folder of the restore.
# Exit code: no matter.
for d in "$1/old" "$1/found"; do
    [ ! -e "$d" ] || find "$d" -mindepth 1 ! -type d ! -path "$1/old/*.none" -print -quit
done
