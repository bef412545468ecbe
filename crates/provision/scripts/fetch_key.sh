# shellcheck shell=sh
# Stores the key of a repository of packages when its fingerprint is the one that is known.
# $1 address, $2 fingerprint, $3 file.
# Exit code: 1 when it is another one; not 0 when it could not be fetched or stored.
set -e; umask 022
install -d -m 755 /etc/apt/keyrings
t=$(mktemp); trap 'rm -f "$t"' EXIT
curl -fsSL --retry 3 --connect-timeout 10 --max-time 60 --output "$t" -- "$1"
got=$(gpg --batch --show-keys --with-colons "$t" | awk -F: '$1 == "fpr" { print $10; exit }')
[ "$got" = "$2" ] || { echo "the key at $1 has the fingerprint ${got:-none} instead of $2: it is not trusted" >&2; exit 1; }
install -m 644 "$t" "$3"
