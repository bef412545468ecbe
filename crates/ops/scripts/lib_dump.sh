# shellcheck shell=sh
# What every dump begins with; dump_*.sh and finish_dump.sh come after it. Runs in the container of the
# database. What is not whole never gets the file's name: it is written to $tmp.
# $1 file of the dump, $2 database, $3 user, $4 name of the secret with the password, $5 the stack's own
# line of shell; what is empty is not given.
# Exit code: 1 with a reason on standard error.
# What comes after it uses them.
# shellcheck disable=SC2034
set -e; umask 077
out=$1 database=$2 user=$3 secret=$4 line=$5
say() { echo "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
# The value of a variable, or of the file that NAME_FILE names, as official images have them.
value() { eval "v=\${$1:-} f=\${$1_FILE:-}"; [ -n "$v" ] || [ -z "$f" ] || v=$(cat "$f"); printf %s "$v"; }
first() { for n; do v=$(value "$n"); [ -z "$v" ] || { printf %s "$v"; return; }; done; }
password() {
    [ -z "$secret" ] || { [ -r "/run/secrets/$secret" ] || say "there is no /run/secrets/$secret in the container"; cat "/run/secrets/$secret"; return; }
    first "$@"
}
tmp=$out.$$.part
[ ! -d "$out" ] || say "$out, the dump's place, is a folder"
rm -f "$tmp"
trap 'rm -f "$tmp" "$tmp".*' EXIT
find "$(dirname "$out")" -maxdepth 1 -name "$(basename "$out").*.part" -mmin +1440 -exec rm -f {} + 2>/dev/null || :
