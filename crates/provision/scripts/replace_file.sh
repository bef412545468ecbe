# shellcheck shell=sh
# Replaces the content of a file, in one step. A file that is a mount, as in a container, is written in
# place. lib_tentative_files.sh stands before it.
# $1 file, $2 content.
# Exit code: not 0 when it could not be written.
set -e
if [ -e "$1" ]; then cp -p "$1" "$1.matou"; else : >"$1.matou"; chmod 644 "$1.matou"; fi
printf '%s\n' "${2%
}" >"$1.matou"
if is_mounted "$1"; then cat "$1.matou" >"$1"; rm "$1.matou"; else place "$1.matou" "$1"; fi
