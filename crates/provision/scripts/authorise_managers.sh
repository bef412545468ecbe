# shellcheck shell=sh
# Lets the managers' keys in, and no others of matou's.
# $1 the user whose home it is; the rest are lines of authorized_keys.
# Exit code: not 0 when the file could not be written; the old one is there then.
set -e
home=$(getent passwd "$1" | cut -d: -f6); user=$1; shift
install -d -m 700 -o "$user" -g "$(id -gn "$user")" "$home/.ssh"
f=$home/.ssh/authorized_keys
[ -e "$f" ] || install -m 600 -o "$user" -g "$(id -gn "$user")" /dev/null "$f"
cp -p "$f" "$f.matou"
grep -v ' matou@[^ ]*$' "$f" >"$f.matou" || [ $? = 1 ] || { echo "$f.matou can't be written" >&2; exit 1; }
for line in "$@"; do printf '%s\n' "$line" >>"$f.matou"; done
sync "$f.matou"; mv -f "$f.matou" "$f"; sync "${f%/*}"
