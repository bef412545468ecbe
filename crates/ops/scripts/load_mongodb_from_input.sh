# shellcheck shell=sh
# Loads the dump on standard input. lib_database_values.sh and lib_ask_mongodb.sh stand before it.
# Exit code: mongorestore's.
# What stands before it sets them.
# shellcheck disable=SC2154
set -- --quiet --drop --archive
[ -z "$login" ] || set -- "$@" --config="$config" --username="$user" --authenticationDatabase=admin
mongorestore "$@"
