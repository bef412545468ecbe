# shellcheck shell=sh
# Function for scripts that use a file which a container wrote; stands before them.
# plain FILE: ends the script with 1 unless it is a regular file with one name. A container could have
# put anything there.
plain() {
    [ -f "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %h -- "$1")" = 1 ] && return
    echo "the dump $1 is no regular file of one name: somebody in the container put it there; take an older snapshot, or restore into a folder" >&2; exit 1
}
