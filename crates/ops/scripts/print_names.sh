# shellcheck shell=sh
# Prints the paths of what is to be sent of a volume (compare_copy.sh), each with a NUL at its end.
# $1 the folder of the copy.
# Exit code: not 0 when they can't be read.
cd -- "$1" && cut -z -d ' ' -f 11- -- send | sort -z
