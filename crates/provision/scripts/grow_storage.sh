# shellcheck shell=sh
# Makes and grows the storage: volume group "matou", logical volume "data" on all of it, file system,
# mount, line of fstab. Carries out what is missing; every part may be done already.
# lib_tentative_files.sh stands before it.
# $1 mount point, $2 file system for a new one; then "wipe DEVICE" or "add DEVICE" for each new device.
# Exit code: 1 when a device is in use or holds something that nobody agreed to wipe, or when the volume
# holds something that is no file system; else that of the program that failed.
set -e
mount=$1; fs=$2; shift 2
export LVM_SUPPRESS_FD_WARNINGS=1
in_group() { pvs --noheadings --options=vg_name "$1" 2>/dev/null | tr -d ' ' | grep -qx matou; }
while [ $# -gt 0 ]; do
    verb=$1; dev=$2; shift 2
    # An earlier run came this far: what is the group's is never wiped.
    if in_group "$dev"; then continue; fi
    # Looked at once more, now: between plan and here somebody may have begun to use it.
    mounted=$(lsblk --noheadings --raw --output=MOUNTPOINT "$dev")
    if [ -n "$(printf %s "$mounted" | tr -d '[:space:]')" ]; then
        echo "$dev is in use: it is mounted" >&2; exit 1
    fi
    if [ "$verb" = wipe ]; then
        echo "wiping $dev"
        wipefs --all --quiet "$dev"
    else
        held=$(wipefs --no-act --noheadings "$dev")
        if [ -n "$held" ] && ! pvs --noheadings "$dev" >/dev/null 2>&1; then
            echo "$dev holds something now: plan again" >&2; exit 1
        fi
    fi
    pvs --noheadings "$dev" >/dev/null 2>&1 || pvcreate --quiet --yes "$dev"
    if ! vgs --noheadings matou >/dev/null 2>&1; then vgcreate --quiet matou "$dev"
    else vgextend --quiet matou "$dev"; fi
done
for dev in $(pvs --noheadings --options=pv_name --select=vg_name=matou); do pvresize --quiet "$dev" >/dev/null; done
if ! lvs --noheadings matou/data >/dev/null 2>&1; then
    lvcreate --quiet --yes --wipesignatures y --name data --extents 100%FREE matou
fi
lvchange --quiet --activate y matou/data
# 2: nothing was found. Any other code says that it could not be told, as when there are traces of two
# file systems (8).
have=$(blkid --probe --match-tag TYPE --output value /dev/matou/data) || [ $? = 2 ] || {
    echo "what /dev/matou/data holds can't be told (wipefs /dev/matou/data): it is not formatted" >&2; exit 1; }
if [ -z "$have" ]; then
    held=$(wipefs --no-act --noheadings /dev/matou/data)
    [ -z "$held" ] || { echo "/dev/matou/data holds something that is no file system (wipefs /dev/matou/data): it is not formatted" >&2; exit 1; }
    echo "making the file system"
    # Options are words of their own.
    # shellcheck disable=SC2046
    "mkfs.$fs" $([ "$fs" = ext4 ] && echo -q -m 1 || echo -q) -L matou /dev/matou/data
    have=$fs
fi
uuid=$(blkid --probe --match-tag UUID --output value /dev/matou/data)
mkdir -p "$mount"
if ! findmnt --fstab --noheadings --target "$mount" --output=TARGET 2>/dev/null | grep -qxF "$mount"; then
    # A boot reads it when it was shown to work.
    mountpoint -q "$mount" || mount -t "$have" -o noatime "UUID=$uuid" "$mount"
    cp -p /etc/fstab /etc/fstab.before-matou
    cp -p /etc/fstab /etc/fstab.matou
    echo "UUID=$uuid $mount $have defaults,noatime,nofail,x-systemd.device-timeout=15min 0 2" >>/etc/fstab.matou
    if ! findmnt --verify --tab-file /etc/fstab.matou >/dev/null; then
        echo "/etc/fstab.matou, which was to become /etc/fstab, is not valid" >&2; exit 1
    fi
    place /etc/fstab.matou /etc/fstab
    systemctl daemon-reload
fi
if grep -q 'nofail,x-systemd.device-timeout=30s 0 2$' /etc/fstab; then
    sed -i 's/nofail,x-systemd.device-timeout=30s 0 2$/nofail,x-systemd.device-timeout=15min 0 2/' /etc/fstab
    systemctl daemon-reload
fi
mountpoint -q "$mount" || mount "$mount"
if [ "$(vgs --noheadings --options=vg_free_count matou | tr -d ' ')" != 0 ]; then
    echo "growing"
    lvextend --quiet --extents +100%FREE --resizefs matou/data
fi
