# shellcheck shell=sh
# Prints what lies in a volume, a record for each file that ends with a NUL: type, blocks of 512 bytes,
# inode, size, times of content and of inode, mode, owner, group, a mark, path. A file that changed within
# the last two seconds may change again without a new time: its mark is another one each time. What went while it
# was listed, also a folder in whose place there is a link or a file now, is no failure.
# After lib_judge.sh. $1 the volume's folder, $2 "one" when what is mounted inside is left out.
# Exit code: 74 the folder is not there; 1 something could not be listed, which is told.
cd -- "$1" 2>/dev/null || { echo "the folder $1 is not there" >&2; exit 74; }
now=$(date +%s) || exit
one=; [ "$2" != one ] || one=-xdev
exec 3>&1
# What find says of a file ends so; a name can't end a line, as find quotes it. Kept in no file: a disk may be full.
# Empty, or a word.
# shellcheck disable=SC2086
judge "$({ find . -ignore_readdir_race $one ! -type s \
    \( -newerct "@$((now - 2))" -printf "%y %b %i %s %T@ %C@ %m %U %G $now %p\0" \
    -o -printf '%y %b %i %s %T@ %C@ %m %U %G 0 %p\0' \) 2>&1 >&3; echo "ended $?"; } |
    sed -e '/: No such file or directory$/d' -e '/: Not a directory$/d' \
        -e '/: Too many levels of symbolic links$/d' | tail -n 6)" 1
