# shellcheck shell=sh
# Dumps PostgreSQL to $tmp. lib_dump.sh stands before it, finish_dump.sh comes after it.
# pg_dump ends every whole dump with a comment. The password is in its own environment alone.
# Exit code: not 0 when the dump is not whole.
# lib_dump.sh sets $tmp.
# shellcheck disable=SC2154
have pg_dump || say "the container has no pg_dump"
[ -n "$user" ] || user=$(first POSTGRES_USER); [ -n "$user" ] || user=postgres
secret=$(password POSTGRES_PASSWORD)
with() { if [ -n "$secret" ]; then PGPASSWORD=$secret "$@"; else "$@"; fi; }
if [ -n "$database" ]; then
    with pg_dump --username="$user" --no-password --clean --if-exists --file="$tmp" --dbname="$database"
else
    with pg_dumpall --username="$user" --no-password --clean --if-exists --file="$tmp"
fi
tail -n 20 "$tmp" | grep -Eq 'PostgreSQL database( cluster)? dump complete' || say "the dump does not end as a whole one does"
