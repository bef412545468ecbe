# shellcheck shell=sh
# Ends a group of processes: asks them, and kills those that are still there after a while.
# $1 the group, $2 how many tenths of a second it may take.
# Exit code: 0, also when it is not there.
kill -TERM "-$1" 2>/dev/null || exit 0
i=0
while [ $i -lt "$2" ] && kill -0 "-$1" 2>/dev/null; do sleep 0.1; i=$((i+1)); done
kill -KILL "-$1" 2>/dev/null
exit 0
