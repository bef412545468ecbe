# shellcheck shell=sh
# Makes those of the folders of volumes that are missing; where NFS serves them, they are exported before anything
# mounts them.
# The arguments are the folders.
# Exit code: 1 when one can't be made or exported.
set -e
for folder; do
    [ -e "$folder" ] || (umask 022 && mkdir -p -- "$folder") || { echo "$folder can't be made" >&2; exit 1; }
done
[ ! -e /etc/matou/export_volumes.sh ] || sh /etc/matou/export_volumes.sh
