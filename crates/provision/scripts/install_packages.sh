# shellcheck shell=sh
# Installs packages; first ends what an interrupted installation left, and reads the lists of packages
# when they are older than twelve hours.
# $1 seconds to wait for a package manager that is in use; the rest are packages. None: only mends.
# Exit code: 75 when the package manager is still in use; else apt-get's.
set -e
wait=$1; shift
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
# Without cloud-init, and when that failed, it goes on.
# shellcheck disable=SC2015
command -v cloud-init >/dev/null && cloud-init status --wait >/dev/null 2>&1 || true
holder() {
    for f in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
        [ -e "$f" ] || continue
        awk -v i="$(stat -c %i "$f")" '$2 == "POSIX" && $4 == "WRITE" { split($6, a, ":"); if (a[3] == i) { print $5; exit } }' /proc/locks
    done | head -n 1
}
n=0
while p=$(holder) && [ -n "$p" ]; do
    who=$(tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null || echo 'a program')
    if [ "$n" -ge "$wait" ]; then
        echo "the package manager is in use by process $p ($who): wait until it is done, then run this again" >&2
        exit 75
    fi
    [ "$n" -gt 0 ] || echo "waiting for process $p ($who), which uses the package manager"
    sleep 1; n=$((n + 1))
done
dpkg --configure -a --force-confold
get() {
    apt-get -y -q -o DPkg::Lock::Timeout="$wait" -o Dpkg::Options::=--force-confold \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Use-Pty=0 "$@"
}
# apt gives its lists the server's time: when they were read is remembered here.
stamp=/var/lib/matou/apt-update
update() { get update && mkdir -p /var/lib/matou && touch "$stamp"; }
find "$stamp" -mmin -720 2>/dev/null | grep -q . || update
[ $# -gt 0 ] || { get --fix-broken install; exit; }
get install --no-install-recommends "$@" && exit
echo "once more, with newer lists of packages"
update
get install --no-install-recommends "$@"
