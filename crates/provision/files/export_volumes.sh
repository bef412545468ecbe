# shellcheck shell=sh
# Exports each volume's folder by itself, and nothing that lies beside them: neither `.matou` nor the data as
# a whole. Runs when a folder came or went, and before a new one is mounted.
# lib_list_volume_folders.sh and lines that set values stand before this one: data (the folder), clients
# (who may mount), options (of exports(5)), and whole (clients that have mounted by the export of the data as a whole,
# which matou made until it exported volumes) with whole_options.
# Exit code: 1 when the list of exports can't be written.
# What is set before this file begins.
# shellcheck disable=SC2154
set -eu
PATH=$PATH:/usr/sbin:/sbin
file=/etc/exports.d/matou.exports
export_line() { # export_line FOLDER OPTIONS CLIENT...
    printf '%s' "$1"; o=$2; shift 2
    for c; do printf ' %s(%s)' "$c" "$o"; done
    echo
}
list_exports() {
    echo '# Kept by matou (/etc/matou/export_volumes.sh): volumes, for the nodes of the fleet and nobody else.'
    # shellcheck disable=SC2086
    [ -z "$whole" ] || export_line "$data" "$whole_options" $whole
    list_volume_folders "$data" | while IFS= read -r folder; do
        # shellcheck disable=SC2086
        export_line "$folder" "$options" $clients
    done
}
# The disk that should be there and is not: what it holds stays exported, for when it is back.
case $options in *mp=*) mountpoint -q -- "$data" || exit 0 ;; esac
[ -d /run/matou ] || mkdir -m 700 /run/matou
exec 9>/run/matou/exports.lock
flock 9
# Again, until nothing came or went meanwhile; once in any case, as the last time may have been cut off before it.
exported=
while list=$(list_exports); [ "$list" != "$exported" ]; do
    if [ "$list" != "$(cat -- "$file" 2>/dev/null)" ]; then
        mkdir -p -- "${file%/*}"
        printf '%s\n' "$list" >"$file.new"
        chmod 644 -- "$file.new"
        mv -f -- "$file.new" "$file"
    fi
    # An export of the operator's own that can't be made, as of a name that DNS does not know, keeps no volume away.
    exportfs -r || echo "some exports of $(hostname) can't be made (above); the others are" >&2
    exported=$list
done
