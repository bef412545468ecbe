# shellcheck shell=sh
# Sets a virtual machine up, once, at its first boot. The user-mode network is its way out; the fleet's
# own network is where it is reached.
# No arguments: the machine gets it as a file, in which the words in capitals stand for the machine's
# name, its address, its host key, and the public key of the fleet.
# Exit code: not 0 when something failed; it is tried again at the next boot.
set -e
echo NAME >/etc/hostname; hostname NAME
printf '127.0.0.1 localhost\n127.0.1.1 NAME\n' >/etc/hosts
cat >/etc/systemd/network/10-wan.network <<'END'
[Match]
Name=eth0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
[DHCPv4]
UseDNS=no
END
cat >/etc/systemd/network/20-fleet.network <<'END'
[Match]
Name=eth1
[Network]
Address=ADDRESS/24
LinkLocalAddressing=no
END
cat >/etc/ssh/ssh_host_ed25519_key <<'END'
HOSTKEY
END
chmod 600 /etc/ssh/ssh_host_ed25519_key
ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key >/etc/ssh/ssh_host_ed25519_key.pub
id ops >/dev/null 2>&1 || useradd -m -s /bin/bash ops
echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops; chmod 440 /etc/sudoers.d/ops
for h in /root /home/ops; do
    mkdir -p $h/.ssh
    grep -qxF 'KEY' $h/.ssh/authorized_keys 2>/dev/null || echo 'KEY' >>$h/.ssh/authorized_keys
    chmod 700 $h/.ssh; chmod 600 $h/.ssh/authorized_keys
done
chown -R ops:ops /home/ops/.ssh
