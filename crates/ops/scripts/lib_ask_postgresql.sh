# shellcheck shell=sh
# ask ARGUMENTS: runs psql over TCP: while an image initializes its data folder, its server listens on a
# socket only. with COMMAND: gives it the password. lib_database_values.sh stands before it.
[ -n "$user" ] || user=$(first POSTGRES_USER); [ -n "$user" ] || user=postgres
secret=$(password POSTGRES_PASSWORD)
with() { if [ -n "$secret" ]; then PGPASSWORD=$secret "$@"; else "$@"; fi; }
ask() { with psql -h 127.0.0.1 -U "$user" -d "${database:-postgres}" -X -q "$@"; }
