# shellcheck shell=sh
# ask CODE: runs it in the shell of MongoDB, logged in. The password is in files that only the container's
# root reads. lib_database_values.sh stands before it.
# Exit code: 127 when the container has no client.
client=$(command -v mongosh || command -v mongo) || { echo 'the container has no client' >&2; exit 127; }
[ -n "$user" ] || user=$(first MONGO_INITDB_ROOT_USERNAME)
umask 077; config=$(mktemp); script=$(mktemp); trap 'rm -f "$config" "$script"' EXIT
quoted=$(password MONGO_INITDB_ROOT_PASSWORD | sed 's/[\\"]/\\&/g'); login=
if [ -n "$user" ] && [ -n "$quoted" ]; then
    printf 'password: "%s"\n' "$quoted" >"$config"
    login="db.getSiblingDB('admin').auth(\"$user\", \"$quoted\");"
fi
ask() { printf '%s %s\n' "$login" "$1" >"$script"; "$client" --quiet "$script"; }
