# shellcheck shell=sh
# Removes the swap file, and its line of fstab; any of it may be gone already.
# lib_tentative_files.sh stands before it.
# No arguments.
# Exit code: not 0 when it could not be switched off or removed.
set -e
if swapon --show=NAME --noheadings | grep -qx /swapfile; then swapoff /swapfile; fi
if grep -q '^/swapfile[[:space:]]' /etc/fstab; then
    cp -p /etc/fstab /etc/fstab.matou
    sed '\|^/swapfile[[:space:]]|d' /etc/fstab >/etc/fstab.matou
    place /etc/fstab.matou /etc/fstab
fi
rm -f /swapfile
