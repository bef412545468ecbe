# shellcheck shell=sh
# Mounts a share by hand, with a time limit: an engine that waits for a server that does not answer says
# nothing.
# $1 the share.
# Exit code: 1 when it can't be mounted.
d=$(mktemp -d); trap 'rmdir "$d"' EXIT
timeout 30 mount -t nfs4 -o soft,timeo=50,retrans=2,nfsvers=4.2 "$1" "$d" || { echo "$1 can't be mounted: is 2049/tcp of the storage node open to this one?" >&2; exit 1; }
umount "$d"
