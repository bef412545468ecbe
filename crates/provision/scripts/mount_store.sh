# shellcheck shell=sh
# Mounts the distributed store, now and at boot; each part may be done already. lib_tentative_files.sh
# stands before it.
# $1 mount point, $2 the line of fstab.
# Exit code: not 0 when it could not be mounted.
set -e
mkdir -p "$1"
if ! findmnt --fstab --noheadings --output=TARGET 2>/dev/null | grep -qxF "$1"; then
    # A boot reads it when it was shown to work.
    cp -p /etc/fstab /etc/fstab.matou
    echo "$2" >>/etc/fstab.matou
    mountpoint -q "$1" || mount --fstab /etc/fstab.matou --target "$1"
    place /etc/fstab.matou /etc/fstab
    systemctl daemon-reload
fi
mountpoint -q "$1" || mount "$1"
