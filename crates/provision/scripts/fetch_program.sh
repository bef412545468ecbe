# shellcheck shell=sh
# Stores a program that is downloaded, when its SHA-256 is the one that is known.
# $1 address, $2 SHA-256, $3 where to.
# Exit code: 1 when it is another one; not 0 when it could not be fetched or stored.
set -e
t=$(mktemp); trap 'rm -f "$t" "$t.out"' EXIT
curl -fsSL --retry 3 --connect-timeout 10 --output "$t" -- "$1"
got=$(sha256sum "$t" | cut -d' ' -f1)
[ "$got" = "$2" ] || { echo "what came from $1 has the SHA-256 $got instead of $2: it is thrown away" >&2; exit 1; }
case $1 in *.bz2) bunzip2 <"$t" >"$t.out";; *) cp "$t" "$t.out";; esac
install -D -m 755 "$t.out" "$3.new"
sync "$3.new"; mv -f "$3.new" "$3"; sync "${3%/*}"
mkdir -p /var/lib/matou
echo "$2" >"/var/lib/matou/$(basename "$3").sha256"
