# shellcheck shell=sh
# Removes the swap file, and its line of fstab; any of it may be gone already.
# No arguments.
# Exit code: not 0 when it could not be switched off or removed.
set -e
if swapon --show=NAME --noheadings | grep -qx /swapfile; then swapoff /swapfile; fi
sed -i '\|^/swapfile[[:space:]]|d' /etc/fstab
rm -f /swapfile
