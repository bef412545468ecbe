# shellcheck shell=sh
# list_volume_folders DATA: prints the folders of volumes in the data, as they are exported: not matou's own, no links,
# none with a name that no volume has.
list_volume_folders() {
    for folder in "$1"/*/; do
        folder=${folder%/}
        if [ -L "$folder" ] || [ ! -d "$folder" ]; then continue; fi
        case ${folder##*/} in
        lost+found | *[!A-Za-z0-9_.-]*) ;;
        *) printf '%s\n' "$folder" ;;
        esac
    done
}
