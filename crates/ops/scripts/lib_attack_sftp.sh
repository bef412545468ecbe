# shellcheck shell=sh
# SFTP, as root's own ssh reaches it.
# lib_attack_place.sh makes $d.
# shellcheck disable=SC2154
# attack_repository.sh reads $said.
# shellcheck disable=SC2034
base=$3 to=$4 port=$5 HOME=/root
export HOME
s() { printf '%s\n' "$1" | sftp -q -b - -o BatchMode=yes -o ConnectTimeout=20 ${port:+-P "$port"} -- "$to" >"$d/out" 2>"$d/err"; code=$?; said=$(tail -n 1 "$d/err"); return $code; }
get() { rm -f -- "$2"; s "get \"$base$1\" \"$2\""; [ -e "$2" ]; }
put() { s "put \"$2\" \"$base$1\""; }
del() { s "rm \"$base$1\""; }
there() { s "ls -1 \"$base$(dirname "$1")\"" || return 2; grep -q "$(basename "$1")\$" "$d/out"; }
kept() { return 1; }
probes() { :; }
