# shellcheck shell=sh
# Gives a project its number, and limits what it may take of a file system. Prints the number.
# $1 name of the project, $2 KiB (0: no limit), $3 where the file system is mounted.
# Exit code: 0 done.
set -e
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
exec 9>>/etc/projid
flock -w 30 9
id=$(sed -n "s/^$1:\([0-9]*\)\$/\1/p" /etc/projid | head -n 1)
if [ -z "$id" ]; then
  # Numbers from here on are matou's: those of others are small, or those of users.
  id=$(sed -n 's/^[^#:]*:\([0-9]*\)$/\1/p' /etc/projid | awk 'BEGIN { top = 770000000 } $1 > top && $1 < 780000000 { top = $1 } END { printf "%d", top + 1 }')
  printf '%s:%s\n' "$1" "$id" >>/etc/projid
fi
setquota -P "$id" 0 "$2" 0 0 "$3"
echo "$id"
