# shellcheck shell=sh
# Waits until a virtual machine has booted: until its systemd says so over SSH.
# $1 private key, $2 address.
# Exit code: 0, once it has.
until ssh -i "$1" -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR \
    -o BatchMode=yes -o ConnectTimeout=30 "root@$2" 'systemctl is-system-running --wait >/dev/null; :' </dev/null; do sleep 3; done
