# shellcheck shell=sh
# Proves a configuration of Suricata and its rules.
# $1 file of the configuration, $2 of the rules; both are removed.
# Exit code: not 0 when they are not valid.
set -e
t=$(mktemp -d); trap 'rm -rf "$t" "$1" "$2"' EXIT
suricata -T -c "$1" -S "$2" -l "$t"
