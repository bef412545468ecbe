# shellcheck shell=sh
# Makes the bridge of a practice fleet with this machine's address; each part may be there already.
# Docker's engine lets nothing pass between ports of a bridge that is not its own, where the kernel shows
# it bridged packets.
# $1 name of the bridge, $2 address with the length of the prefix.
# Exit code: not 0 when something failed.
set -e
ip link show dev "$1" >/dev/null 2>&1 || ip link add name "$1" type bridge
ip address show dev "$1" | grep -qF " $2 " || ip address add "$2" dev "$1"
ip link set dev "$1" up
if command -v iptables >/dev/null; then
    iptables -C FORWARD -i "$1" -o "$1" -j ACCEPT 2>/dev/null || iptables -I FORWARD -i "$1" -o "$1" -j ACCEPT
fi
