# shellcheck shell=sh
# ask ARGUMENTS: runs the client of MariaDB or MySQL. It connects over TCP: while an image initializes its
# data folder, its server listens on a socket only. lib_database_values.sh stands before it.
# Exit code: 127 when the container has no client.
client=$(command -v mariadb || command -v mysql) || { echo 'the container has no client' >&2; exit 127; }
[ -n "$user" ] || user=root
case $user in
root) secret=$(password MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD);;
*) secret=$(password MARIADB_PASSWORD MYSQL_PASSWORD);;
esac
ask() { MYSQL_PWD=$secret "$client" --protocol=tcp -h 127.0.0.1 -u "$user" -N -B "$@"; }
