# shellcheck shell=sh
# Writes standard input as the manifest of the fleet's folder, and copies the store of certificates
# beside it: the last one of those named that exists.
# $1 folder; the rest are places of acme.json.
# Exit code: not 0 when another one wrote there for half a minute.
# The mask closes the folders above it.
# shellcheck disable=SC2174
set -e; umask 077; d=$1; shift
mkdir -p -m 700 -- "$d" "$(dirname -- "$d")/secrets"; exec 9<"$d"
flock -w 30 9 || { echo "another one has written here for half a minute" >&2; exit 1; }
for f; do [ ! -f "$f" ] || { cp -- "$f" "$d/acme.json.new"; mv -f -T -- "$d/acme.json.new" "$d/acme.json"; }; done
cat >"$d/manifest.json.new"; mv -f -T -- "$d/manifest.json.new" "$d/manifest.json"
