# shellcheck shell=sh
# Prints "there" when all arguments are folders and one of them is not empty, else "nothing". Folders are
# put in place one by one: where one is missing, a restore was interrupted.
# Arguments: folders.
# Exit code: 0.
# Whether there is a name is asked, not which.
# shellcheck disable=SC2012
f=; m=
for d in "$@"; do
    if [ ! -d "$d" ]; then m=x; elif [ -n "$(ls -A -- "$d" | head -n 1)" ]; then f=1; fi
done
case $f$m in 1) echo there;; *) echo nothing;; esac
