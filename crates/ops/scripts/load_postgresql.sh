# shellcheck shell=sh
# Loads the dump $dump, which is SQL or in the custom format (which begins with PGDMP).
# lib_database_values.sh and lib_ask_postgresql.sh stand before it.
# Exit code: that of psql or pg_restore.
# lib_database_values.sh sets them.
# shellcheck disable=SC2154
if [ "$(head -c 5 "$dump")" = PGDMP ]; then
    with pg_restore -h 127.0.0.1 -U "$user" -d "${database:-postgres}" --clean --if-exists --no-owner --exit-on-error "$dump"
    exit
fi
ask ${database:+-v ON_ERROR_STOP=1} -o /dev/null -f "$dump"
