# shellcheck shell=sh
# Prints files of a volume as an archive. Their paths come on standard input, each with a NUL at its end. What
# went or changed meanwhile, also a folder in whose place there is a link or a file now, is no failure: the next list
# has it.
# After lib_judge.sh. $1 the volume's folder.
# Exit code: 74 the folder is not there; 1 something could not be read, which is told.
cd -- "$1" 2>/dev/null || { echo "the folder $1 is not there" >&2; exit 74; }
exec 3>&1
# What tar says of a file ends so; a name can't end a line, as tar quotes it. Kept in no file: a disk may be full.
judge "$({ tar -c -f - --format=posix --numeric-owner --sparse --xattrs --acls --no-recursion --null -T - 2>&1 >&3
    echo "ended $?"; } |
    sed -e '/: Cannot [a-z_]*: No such file or directory$/d' -e '/: file changed as we read it$/d' \
        -e '/: Cannot [a-z_]*: Too many levels of symbolic links$/d' -e '/: Cannot [a-z_]*: Not a directory$/d' \
        -e '/: Cannot readlink: Invalid argument$/d' \
        -e '/: File removed before we read it$/d' -e '/: socket ignored$/d' \
        -e '/^tar: Exiting with failure status due to previous errors$/d' | tail -n 6)" 1 2
