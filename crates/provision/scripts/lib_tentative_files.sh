# shellcheck shell=sh
# Functions for scripts that change a file; stand before them. for_now mounts a new file over another,
# for_good puts it in its place. A mount is not on the disk: after a reset the old file is read.
is_mounted() { # is_mounted PLACE
    awk -v p="$1" '$5 == p { found = 1 } END { exit !found }' /proc/self/mountinfo
}
as_before() { # as_before PLACE
    while is_mounted "$1"; do umount "$1" || umount -l "$1" || return 1; done
}
for_now() { # for_now NEW PLACE NOTHING : PLACE reads as NEW; NOTHING is what stands there when there is no file
    as_before "$2" || return 1
    [ -e "$2" ] || printf %s "$3" >"$2" || return 1
    mount --bind "$1" "$2"
}
place() { # place NEW PLACE : in one step, and on the disk
    sync "$1" && mv -f "$1" "$2" && sync "${2%/*}"
}
for_good() { # for_good NEW PLACE
    sync "$1" && as_before "$2" && place "$1" "$2"
}
