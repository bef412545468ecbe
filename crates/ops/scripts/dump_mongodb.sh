# shellcheck shell=sh
# Dumps MongoDB to $tmp. lib_dump.sh stands before it, finish_dump.sh comes after it.
# The password goes in a file that only the container's root reads.
# Exit code: not 0 when mongodump failed.
# lib_dump.sh sets $tmp.
# shellcheck disable=SC2154
have mongodump || say "the container has no mongodump"
[ -n "$user" ] || user=$(first MONGO_INITDB_ROOT_USERNAME)
password=$(password MONGO_INITDB_ROOT_PASSWORD)
set -- --quiet --archive="$tmp"
[ -z "$database" ] || set -- "$@" --db="$database"
if [ -n "$user" ] && [ -n "$password" ]; then
    printf 'password: "%s"\n' "$(printf %s "$password" | sed 's/[\\"]/\\&/g')" >"$tmp.config"
    set -- "$@" --config="$tmp.config" --username="$user" --authenticationDatabase=admin
fi
mongodump "$@" </dev/null
