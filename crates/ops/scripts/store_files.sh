# shellcheck shell=sh
# Puts an archive of files (send_files.sh), which comes on standard input, into a volume's copy. The archive is
# the other node's word: tar takes no path out of the folder, and the kernel follows no link there. What became of
# another type after it was listed (a link in the place of a folder that is full here) is left as it was: like
# what went meanwhile, it is no failure, and the next list has it.
# After lib_judge.sh. $1 the folder of the copy.
# Exit code: 1 something could not be written, which is told.
umask 077
cd -- "$1/data" || exit
# What tar says of a file ends so; a name can't end a line, as tar quotes it. Kept in no file: the disk may be full.
judge "$({ tar -x -f - -p --numeric-owner --same-owner --delay-directory-restore --xattrs --xattrs-include='user.*' \
    --xattrs-include=security.capability --acls --warning=no-timestamp 2>&1
    echo "ended $?"; } |
    sed -e '/: Cannot [a-z_ ]*: File exists$/d' -e '/: Cannot [a-z_ ]* to .*: File exists$/d' \
        -e '/: Cannot [a-z_ ]*: Not a directory$/d' -e '/: Cannot [a-z_ ]*: Is a directory$/d' \
        -e '/: Cannot [a-z_ ]*: Too many levels of symbolic links$/d' \
        -e '/: Cannot [a-z_ ]*: No such file or directory$/d' \
        -e '/^tar: Exiting with failure status due to previous errors$/d' | tail -n 6)" 2
