#!/bin/sh
# Begins as the official images of PostgreSQL and MariaDB do: an empty data folder is made, with a
# user and a database, by a server that listens on a socket only; then the server runs.
set -e
user=${DB_USER:-app}
database=${DB_NAME:-app}
password=$(cat "${DB_PASSWORD_FILE:?}")
as() { u=$1; shift; exec setpriv --reuid "$u" --regid "$u" --clear-groups -- "$@"; }
case ${ENGINE:?} in
postgresql)
    bin=$(echo /usr/lib/postgresql/*/bin)
    data=/var/lib/postgresql/data
    mkdir -p "$data" /var/run/postgresql
    chown postgres: "$data" /var/run/postgresql
    chmod 700 "$data"
    if [ ! -s "$data/PG_VERSION" ]; then
        (as postgres "$bin/initdb" -N -D "$data" -E UTF8 --auth-local=trust --auth-host=scram-sha-256) >/dev/null
        echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
        (as postgres "$bin/pg_ctl" -D "$data" -o "-c listen_addresses=''" -w start) >/dev/null
        # Not on a command line, which others see.
        (as postgres "$bin/psql" -qX) <<SQL
CREATE ROLE "$user" SUPERUSER LOGIN PASSWORD '$password';
SQL
        (as postgres "$bin/createdb" -O "$user" "$database")
        (as postgres "$bin/pg_ctl" -D "$data" -m fast -w stop) >/dev/null
    fi
    as postgres "$bin/postgres" -D "$data" -c "listen_addresses=*"
    ;;
mariadb)
    data=/var/lib/mysql
    mkdir -p "$data" /run/mysqld
    chown mysql: "$data" /run/mysqld
    if [ ! -d "$data/mysql" ]; then
        (as mysql mariadb-install-db --datadir="$data" --skip-test-db --auth-root-authentication-method=socket) >/dev/null
        (as mysql mariadbd --datadir="$data" --skip-networking) &
        until mariadb-admin --silent ping 2>/dev/null; do sleep 0.3; done
        mariadb <<SQL
CREATE DATABASE \`$database\`;
CREATE USER '$user'@'%' IDENTIFIED BY '$password';
GRANT ALL ON \`$database\`.* TO '$user'@'%';
SQL
        mariadb-admin shutdown
        wait
    fi
    as mysql mariadbd --datadir="$data" --bind-address=0.0.0.0 --skip-name-resolve
    ;;
esac
