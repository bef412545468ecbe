# shellcheck shell=sh
# Installs the program that comes on standard input.
# $1 where to, $2 its SHA-256, $3 the file that remembers this.
# Exit code: 1 when it arrived damaged; not 0 when it could not be written.
set -e
cat >"$1.new"
got=$(sha256sum "$1.new" | cut -d' ' -f1)
[ "$got" = "$2" ] || { rm -f "$1.new"; echo "the program arrived damaged" >&2; exit 1; }
chmod 755 "$1.new"; sync "$1.new"; mv -f "$1.new" "$1"; sync "${1%/*}"
mkdir -p /var/lib/matou; echo "$2" >"$3"
