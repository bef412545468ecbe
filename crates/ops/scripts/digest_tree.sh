# shellcheck shell=sh
# Prints a digest of all that a folder holds but contents: kinds, modes, owners, times and sizes of files, where
# links lead, names, which files are one.
# $1 the folder.
# Exit code: 74 the folder is not there; else find's.
cd -- "$1" 2>/dev/null || { echo "the folder $1 is not there" >&2; exit 74; }
list=$(mktemp) || exit
find . \( -type d -printf '%y %m %U %G %p\0' \) -o \( -type f -printf '%y %m %U %G %n %s %Ts %p\0' \) \
    -o ! -type s -printf '%y %m %U %G %n %l %p\0' >"$list"; c=$?
[ $c != 0 ] || LC_ALL=C sort -z -- "$list" | sha256sum | cut -d ' ' -f 1
rm -f -- "$list"
exit $c
