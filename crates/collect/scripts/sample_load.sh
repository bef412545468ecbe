# shellcheck shell=sh
# Prints the load of the node every three seconds: "@", lines of /proc, file systems, ".". The shell
# itself reads the files, because starting processes is what costs on a small server.
# No arguments.
# Exit code: not 0 when something of /proc can't be read. Ends when nobody reads it any more.
n=0; nl='
'; while :; do
read -r l </proc/stat || exit; o="@$nl$l"
while read -r l; do case $l in
    MemTotal:* | MemAvailable:* | SwapTotal:*) o=$o$nl$l ;;
    SwapFree:*) o=$o$nl$l; break ;;
esac; done </proc/meminfo || exit
read -r l </proc/loadavg || exit; o="$o${nl}load $l"
read -r l </proc/uptime || exit; o="$o${nl}uptime $l"
for i in /sys/class/net/[ew]*/statistics; do
    read -r l <"$i/rx_bytes" && o="$o${nl}net $l" && read -r l <"$i/tx_bytes" && o="$o $l"
done 2>/dev/null
[ $((n % 5)) != 0 ] || d=$(df -P -k / | tail -n 1
    df -P -k -l -t ext2 -t ext3 -t ext4 -t xfs -t btrfs -t f2fs -t zfs 2>/dev/null | sed -n '2,21s/^/disk /p')
n=$((n + 1)); printf '%s\n%s\n.\n' "$o" "$d" || exit
sleep 3; done
