# shellcheck shell=sh
# Has memory accounted from the next boot on.
# $1 file of GRUB's settings.
# Exit code: 1 when the machine does not boot by GRUB; else update-grub's.
set -e
command -v update-grub >/dev/null || { echo 'this machine does not boot by GRUB: add cgroup_enable=memory to its kernel command line by hand' >&2; exit 1; }
mkdir -p /etc/default/grub.d
# GRUB's own script reads the variable.
# shellcheck disable=SC2016
echo 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX cgroup_enable=memory swapaccount=1"' >"$1"
update-grub
