# shellcheck shell=sh
# A volume's copy is whole: what it was made of is written down, after the copy itself is on the disk.
# $1 the folder of the copy.
# Exit code: not 0 when it can't be written.
cd -- "$1" && sync -f data && mv -f -T -- new list && rm -f -- send
