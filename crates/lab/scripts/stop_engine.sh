# shellcheck shell=sh
# Ends a practice fleet's own engine, unmounts what it has mounted, and removes its data.
# $1 folder of the engine.
# Exit code: 0 when it does not run; else that of removing the folder.
pid=$(cat "$1/pid") || exit 0
kill "$pid"
i=0
while kill -0 "$pid" 2>/dev/null && [ $i -lt 300 ]; do sleep 0.1; i=$((i+1)); done
awk -v d="$1/" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r | while read -r m; do umount "$m"; done
rm -rf "$1"
