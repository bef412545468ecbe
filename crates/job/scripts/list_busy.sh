# shellcheck shell=sh
# Prints those of the locks named by $3 and on that somebody alive holds, a line each. $1 folder, $2 seconds of
# silence after which nobody is believed to be there. hold_locks.sh says what a lock is.
d=$1 silent=$2; shift 2
[ -d "$d" ] || exit 0
# Nobody takes one meanwhile, and finds it in use by this.
exec 9>>"$d/.mutex" || exit 1
flock 9 || exit 1
for n; do
    l=$d/$n
    [ -e "$l" ] || continue
    since=$(readlink -- "$l"); since=$(cat -- "$d/alive-${since#job-}" 2>/dev/null)
    case $since in
    '' | *[!0-9]*) a=$(($(date +%s) - $(stat -L -c %Y -- "$l"))) ;;
    *) read -r up _ </proc/uptime; a=$((${up%%.*} - since)) ;;
    esac
    [ "$a" -lt "$silent" ] || continue
    flock -n "$l" true || printf '%s\n' "$n"
done
