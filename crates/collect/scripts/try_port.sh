# shellcheck shell=sh
# Prints how connecting to a TCP port goes, as one line KEY TAB VALUE: "open", "late" (no answer in time), "closed" and
# why, "absent" (there is no bash, whose /dev/tcp is used).
# $1 host, $2 port, $3 seconds at most.
# Exit code: 0, also when the port can't be reached.
exec </dev/null
command -v bash >/dev/null || { echo absent; exit 0; }
# shellcheck disable=SC2016
said=$(timeout "$3" bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$1" "$2" 2>&1)
case $? in
  0) echo open ;;
  124) echo late ;;
  *) printf 'closed\t%s\n' "$(printf '%s\n' "$said" | sed -n '1s/.*: //p')" ;;
esac
