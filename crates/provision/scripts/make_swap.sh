# shellcheck shell=sh
# Makes or resizes the swap file, uses it, and has it used at boot. Each part may be there already.
# lib_tentative_files.sh stands before it.
# $1 size in bytes.
# Exit code: 1 when it would leave less than 512 MiB on the disk; else that of the program that failed.
set -e
f=/swapfile
free=$(df --block-size=1 --output=avail / | tail -n 1)
have=$(stat -c %s "$f" 2>/dev/null || echo 0)
if [ "$have" != "$1" ]; then
    [ $((free + have - $1)) -gt 536870912 ] || { echo "a swap file of $1 bytes would fill the disk: $free bytes are free" >&2; exit 1; }
    if swapon --show=NAME --noheadings | grep -qx "$f"; then swapoff "$f"; fi
    rm -f "$f"
    fallocate -l "$1" "$f"
fi
chmod 600 "$f"
blkid -p -s TYPE -o value "$f" 2>/dev/null | grep -qx swap || mkswap "$f" >/dev/null
swapon --show=NAME --noheadings | grep -qx "$f" || swapon "$f"
if ! grep -q '^/swapfile[[:space:]]' /etc/fstab; then
    cp -p /etc/fstab /etc/fstab.matou
    echo '/swapfile none swap sw 0 0' >>/etc/fstab.matou
    place /etc/fstab.matou /etc/fstab
fi
