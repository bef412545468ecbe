# shellcheck shell=sh
# Loads the dump $dump. lib_database_values.sh and lib_ask_mongodb.sh stand before it.
# Exit code: mongorestore's.
# What stands before it sets them.
# shellcheck disable=SC2154
set -- --quiet --drop --archive="$dump"
[ -z "$login" ] || set -- "$@" --config="$config" --username="$user" --authenticationDatabase=admin
mongorestore "$@"
