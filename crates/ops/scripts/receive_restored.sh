# shellcheck shell=sh
# Writes an archive (send_restored.sh), which comes on standard input, beside the volumes of a node. What an
# attempt before has left is removed first.
# $1 the folder of the restore on this node, $2 the number of the part: it is written to $1/coming/$2.
# Exit code: tar's, or not 0 when there is no room.
umask 077
mkdir -p -- "$1/coming" && rm -rf --one-file-system -- "$1/coming/$2" "$1/new/$2" && mkdir -- "$1/coming/$2" || exit
cd -- "$1/coming/$2" || exit
exec tar -x -f - -p --numeric-owner --same-owner --delay-directory-restore --xattrs --xattrs-include='user.*' \
    --xattrs-include=security.capability --acls
