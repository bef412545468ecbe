# shellcheck shell=sh
# Upgrades every package, also held ones; configuration files that were changed stay.
# No arguments.
# Exit code: apt-get's.
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
exec apt-get -y -q --allow-change-held-packages -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Use-Pty=0 dist-upgrade
