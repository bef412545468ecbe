# shellcheck shell=sh
# Makes the image of the virtual machines: kernel, RAM disk and root file system.
# $1 target folder, $2 release of Debian or Ubuntu, $3 packages (with commas), $4 size of the disk.
# Exit code: not 0 when something failed.
set -e
d=$1; release=$2
# Only the drivers of these machines: the RAM disk is unpacked at each boot, and never made anew,
# because it is handed to QEMU from outside. Documentation is left out: emulated disks are slow.
# What is in single quotes is for another shell.
# shellcheck disable=SC2016
mmdebstrap --quiet --variant=minbase --format=directory --include="$3" \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"; printf "MODULES=list\nCOMPRESS=gzip\n" >"$1/etc/initramfs-tools/conf.d/matou"' \
    --essential-hook='printf "virtio_pci\nvirtio_blk\next4\n" >"$1/etc/initramfs-tools/modules"' \
    --customize-hook='echo update_initramfs=no >"$1/etc/initramfs-tools/update-initramfs.conf"' \
    --customize-hook='echo "Acquire::Languages \"none\";" >"$1/etc/apt/apt.conf.d/10matou-lab"' \
    --customize-hook='printf "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n" >"$1/etc/dpkg/dpkg.cfg.d/matou-lab"' \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname' \
    --customize-hook='echo "/dev/vda / ext4 defaults,noatime 0 1" >"$1/etc/fstab"' \
    --customize-hook='echo "nameserver 10.0.2.3" >"$1/etc/resolv.conf"' \
    --customize-hook='upload "'"$d"'/first-boot.service" /etc/systemd/system/matou-lab.service' \
    --customize-hook='chroot "$1" systemctl enable --quiet matou-lab.service systemd-networkd.service' \
    --customize-hook='chroot "$1" systemctl mask --quiet systemd-networkd-wait-online.service getty@tty1.service serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer e2scrub_reap.service' \
    "$release" "$d/root"
# Masked only for the image's own boot: a server's timers run.
rm -f "$d/root/etc/systemd/system/apt-daily.timer" "$d/root/etc/systemd/system/apt-daily-upgrade.timer"
cp "$d"/root/boot/vmlinuz-* "$d/kernel"
cp "$d"/root/boot/initrd.img-* "$d/initrd"
mke2fs -q -t ext4 -O ^metadata_csum_seed -L root -d "$d/root" "$d/root.img" "$4"
rm -rf "$d/root"
