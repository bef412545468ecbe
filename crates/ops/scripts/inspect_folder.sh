# shellcheck shell=sh
# Says what a folder holds: "nothing", "partial" (what an interrupted restore wrote), "something".
# $1 folder, $2 name of what an interrupted one leaves.
# Exit code: 0.
# Whether there is a name is asked, not which.
# shellcheck disable=SC2012
if [ -L "$1" ] || { [ -e "$1" ] && [ ! -d "$1" ]; }; then echo something; exit 0; fi
held=$(ls -A -- "$1" 2>/dev/null | head -n 2)
case $held in '') echo nothing ;; "$2") echo partial ;; *) echo something ;; esac
