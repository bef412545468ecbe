# shellcheck shell=sh
# Keeps a list of a volume's files (list_volume.sh), which comes on standard input, beside the volume's copy. It
# may take half of what is free: a node that was broken into could send without an end.
# $1 the folder of the copy: data, the copy itself; list, of what it was made; new, what comes.
# Exit code: not 0 when it can't be written, or is too long.
umask 077
mkdir -p -- "$1/data" && kib=$(df -k --output=avail -- "$1/data" | tail -n 1) || exit
# In blocks of 512 bytes.
ulimit -f "$((kib))" || exit
(exec cat >"$1/new") && exit
rm -f -- "$1/new"
echo "the list of its files can't be kept: there is no room, or it takes more than half of what is free: look at that node" >&2
exit 1
