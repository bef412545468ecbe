# shellcheck shell=sh
# Looks at live folders. Prints a line for each: "m" or "-" (a mount or not), then "full", "empty", "none",
# or "linked" when a folder above it is a link.
# Pairs of arguments: path, the folder above it whose links are not looked for any more.
# Exit code: no matter.
# Whether there is a name is asked, not which.
# shellcheck disable=SC2012
while [ $# -ge 2 ]; do
    p=$1 above=$1 folder=$2 link=; shift 2
    while [ "$above" != "$folder" ] && above=$(dirname -- "$above") && [ "$above" != "$folder" ]; do
        [ ! -L "$above" ] || link=1
    done
    if [ "$link" ]; then echo '- linked'
    elif [ -d "$p" ]; then
        mountpoint -q -- "$p" && m=m || m=-
        [ -n "$(ls -A -- "$p" | head -n 1)" ] && e=full || e=empty
        echo "$m $e"
    elif [ -e "$p" ] || [ -L "$p" ]; then echo '- full'; else echo '- none'; fi
done
