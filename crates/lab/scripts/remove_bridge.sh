# shellcheck shell=sh
# Removes the bridge and the devices on it; any of them may be gone already.
# $1 name of the bridge.
# Exit code: 0.
iptables -D FORWARD -i "$1" -o "$1" -j ACCEPT 2>/dev/null
for tap in /sys/class/net/"$1"/brif/*; do [ -e "$tap" ] && ip link delete dev "$(basename "$tap")"; done
ip link show dev "$1" >/dev/null 2>&1 && ip link delete dev "$1"
true
