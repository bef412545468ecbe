# shellcheck shell=sh
# Makes a device on the bridge for a virtual machine; it may be there already.
# $1 name of the device, $2 of the bridge.
# Exit code: not 0 when something failed.
set -e
ip link show dev "$1" >/dev/null 2>&1 || ip tuntap add dev "$1" mode tap
ip link set dev "$1" master "$2" up
