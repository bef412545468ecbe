# shellcheck shell=sh
# Prints what an audit of a node looks at, as lines KEY TAB VALUE; a key may come often.
# No arguments.
# Exit code: no matter.
exec </dev/null 2>/dev/null
p() { printf '%s\t%s\n' "$1" "$2"; }
each() { k=$1; while IFS= read -r line; do p "$k" "$line"; done; }
apt-get --simulate dist-upgrade | grep '^Inst ' >/tmp/matou-audit.$$ || :
p upgrades "$(grep -c . /tmp/matou-audit.$$)"
p security "$(grep -ci security /tmp/matou-audit.$$)"
rm -f /tmp/matou-audit.$$
[ -e /var/run/reboot-required ] && p reboot yes
p refused "$(journalctl --unit=ssh --since=-24h --output=cat --quiet --grep='^(Failed|Invalid user|Connection closed by authenticating)' | grep -c .)"
journalctl --unit=fail2ban --since=-7d --output=short-iso --quiet --grep='\] Ban ' --lines=1 | each ban
ss --no-header --listening --numeric --tcp --udp | awk '{ print $1, $5 }' | each listens
lsblk --noheadings --raw --output=PATH,SIZE,TYPE,FSTYPE,MOUNTPOINT | each device
vgs --noheadings --units=b --nosuffix --separator=' ' --options=vg_name,vg_size,vg_free | each group
df --block-size=1 --output=target,size,used,avail -x tmpfs -x devtmpfs -x overlay -x squashfs -x efivarfs | tail -n +2 | each space
