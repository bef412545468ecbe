# shellcheck shell=sh
# Makes the pool of servers and the volume of GlusterFS; each part may be there already.
# $1 this node, then all nodes that hold a copy.
# Exit code: 1 when not all servers answer within a minute; else gluster's.
set -e
me=$1; shift
mkdir -p /var/lib/matou/brick
for n in "$@"; do
    [ "$n" = "$me" ] || gluster --mode=script peer status | grep -qx "Hostname: $n" || gluster --mode=script peer probe "$n"
done
i=0
while [ "$(gluster --mode=script peer status | grep -c '(Connected)')" -lt $(($# - 1)) ]; do
    i=$((i + 1)); [ $i -lt 60 ] || { gluster peer status; echo "not all servers of the store answer" >&2; exit 1; }
    sleep 1
done
if ! gluster --mode=script volume info matou >/dev/null 2>&1; then
    count=$#; bricks=
    for n in "$@"; do bricks="$bricks $n:/var/lib/matou/brick"; done
    # Bricks are words of their own.
    # shellcheck disable=SC2086
    gluster --mode=script volume create matou replica "$count" $bricks force
fi
gluster --mode=script volume set matou network.ping-timeout 10
gluster --mode=script volume info matou | grep -qx 'Status: Started' || gluster --mode=script volume start matou
