# shellcheck shell=sh
# Stands before a protocol's functions and attack_repository.sh: makes a temporary folder, $d, that is
# removed at the end, also when the connection breaks.
# attack_repository.sh reads $said.
# shellcheck disable=SC2034
# The mask closes the folders above it.
# shellcheck disable=SC2174
umask 077
trap : INT TERM HUP
mkdir -p -m 700 /run/matou
d=$(mktemp -d /run/matou/attack.XXXXXX) || exit 1
trap 'rm -rf "$d"' EXIT
said=
