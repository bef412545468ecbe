# shellcheck shell=sh
# Keeps a list of a volume's files (list_volume.sh), which comes on standard input, beside the volume's copy.
# $1 the folder of the copy: data, the copy itself; list, of what it was made; new, what comes.
# Exit code: not 0 when it can't be written.
umask 077
mkdir -p -- "$1/data" && exec cat >"$1/new"
