#!/bin/sh
# Stands for the programs by which scripts change a server (tests/scripts.rs): its name says for which.
# What it is asked to change it writes into $STATE/changes, a line each, and keeps what would have come of
# it in the other files of $STATE. A line "CODE PATTERN" in $STATE/fails lets a call fail.
# Exit code: the program's; 99 for a call that it does not know.
name=${0##*/} all="${0##*/} $*" last=''
for last; do :; done
disk=$STATE/${last##*/}
cd "$STATE" || exit 99

asked() { # asked: it only reads
    while read -r code pattern; do
        # The pattern is one.
        # shellcheck disable=SC2254
        case $all in $pattern) echo "$name fails" >&2; exit "$code" ;; esac
    done <fails
}
changes() { printf '%s\n' "$all" >>changes; asked; }
more() { echo $(($(cat group.free 2>/dev/null || echo 0) + $1)) >group.free.new; mv group.free.new group.free; }

case $name in
lsblk) asked; [ -e "$disk" ] || exit 32; [ ! -e "$disk.mounted" ] || cat "$disk.mounted" ;;
wipefs)
    case $1 in
    --all) changes; rm -f "$disk.signature" "$disk.pv" ;;
    *)
        asked
        [ "$last" != /dev/matou/data ] || disk=$STATE/volume
        [ ! -e "$disk.pv" ] || echo '0x218 LVM2_member'
        [ ! -e "$disk.signature" ] || cat "$disk.signature" ;;
    esac ;;
pvs)
    asked
    case $* in
    *--select=vg_name=matou) for f in *.pv; do [ "$(cat "$f")" != matou ] || echo "  /dev/${f%.pv}"; done ;;
    *) [ -e "$disk.pv" ] || exit 5; echo "  $(cat "$disk.pv") " ;;
    esac ;;
# --yes: it would wipe what it finds.
pvcreate) changes; [ -e "$disk" ] || exit 5; rm -f "$disk.signature"; : >"$disk.pv" ;;
pvresize) changes; [ ! -e "$disk.grown" ] || { rm "$disk.grown"; more 100; } ;;
vgs) asked; [ -e group.free ] || exit 5; echo "  $(cat group.free)" ;;
vgcreate | vgextend) changes; [ -z "$(cat "$disk.pv")" ] || exit 5; echo matou >"$disk.pv"; more 100 ;;
lvs) asked; [ -e volume ] ;;
lvcreate) changes; [ "$(cat group.free)" != 0 ] || exit 5; : >volume; echo 0 >group.free ;;
lvchange) changes ;;
lvextend) changes; echo 0 >group.free ;;
blkid)
    asked
    case "$*" in
    *swapfile) [ -e swap.header ] || exit 2; echo swap ;;
    *TYPE*) [ -e volume.type ] || exit 2; cat volume.type ;;
    *UUID*) [ -e volume.type ] || exit 2; echo 1234 ;;
    *) exit 99 ;;
    esac ;;
mkfs.ext4 | mkfs.xfs) changes; echo "${name#mkfs.}" >volume.type ;;
findmnt)
    asked
    case $* in
    *--verify*) ;;
    *--fstab*--target*) awk -v t="$4" '$2 == t { found = 1 } END { print found ? t : "/" }' "$FSTAB" ;;
    *) exit 99 ;;
    esac ;;
mountpoint) asked; [ -e mounted ] ;;
mount) changes; : >mounted ;;
systemctl) changes ;;
df) asked; echo Avail; cat disk.free ;;
swapon)
    case $1 in
    --show=NAME) asked; [ ! -e swap.on ] || cat swap.on ;;
    *) changes; [ -e swap.header ] || exit 255; echo "$1" >swap.on ;;
    esac ;;
swapoff) changes; rm swap.on ;;
fallocate) changes; truncate -s "$2" "$3"; rm -f swap.header ;;
mkswap) changes; : >swap.header ;;
nft)
    case $* in
    "list table inet matou") asked; [ -e rules ] || exit 1; cat rules ;;
    "-c -f "*) asked; ! grep -q wrong "$3" ;;
    "-f -") changes; cat >given; rm -f rules ;;
    "-f "*) changes; ! grep -q wrong "$2" || exit 1; cp "$2" rules ;;
    *) exit 99 ;;
    esac ;;
iptables)
    what=$1
    case $what in -C) asked ;; *) changes ;; esac
    shift
    case $what in
    -C) [ -e chain ] && grep -qxF -- "$*" chain ;;
    -N) [ ! -e chain ] || exit 1; : >chain ;;
    -I) printf '%s\n' "$*" >>chain ;;
    *) exit 99 ;;
    esac ;;
ip) asked; cat route ;;
# The next line of its states; the last stays.
docker)
    case $all in *' swarm leave '*) changes; exit ;; esac
    asked; head -n 1 swarm; sed '1{$!d;}' swarm >swarm.next; mv swarm.next swarm
    ;;
curl) cat >given; printf '%s\n' "$all" >>changes; [ ! -e refused ] || { cat refused; exit 22; } ;;
sleep) ;;
# What is on the disk is of no matter here.
sync) ;;
*) exit 99 ;;
esac
