# shellcheck shell=sh
# Waits for systemd in a container of the practice fleet, makes host keys, lets the fleet's key in as root
# and as ops, who has sudo. Prints the host key.
# $1 how many fifths of a second systemd may take, $2 the fleet's public key.
# Exit code: 1 when systemd does not come up; not 0 when something else failed.
set -e
i=0
until systemctl is-active --quiet multi-user.target 2>/dev/null; do
    i=$((i+1)); [ $i -lt "$1" ] || { echo 'systemd does not come up' >&2; exit 1; }
    sleep 0.2
done
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -A >/dev/null
id ops >/dev/null 2>&1 || useradd -m -s /bin/bash ops
echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops
chmod 440 /etc/sudoers.d/ops
for h in /root /home/ops; do
    mkdir -p $h/.ssh
    f=$h/.ssh/authorized_keys
    grep -qxF "$2" $f 2>/dev/null || echo "$2" >>$f
    chmod 700 $h/.ssh
    chmod 600 $h/.ssh/authorized_keys
done
chown -R ops:ops /home/ops/.ssh
systemctl is-active --quiet ssh || { systemctl reset-failed ssh; systemctl restart ssh; }
cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub
