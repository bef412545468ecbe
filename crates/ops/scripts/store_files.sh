# shellcheck shell=sh
# Puts an archive of files (send_files.sh), which comes on standard input, into a volume's copy. The archive is
# the other node's word: tar takes no path out of the folder, and the kernel follows no link there.
# $1 the folder of the copy.
# Exit code: tar's.
umask 077
cd -- "$1/data" || exit
exec tar -x -f - -p --numeric-owner --same-owner --delay-directory-restore --xattrs --xattrs-include='user.*' \
    --xattrs-include=security.capability --acls
