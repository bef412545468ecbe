#!/bin/bash
# What the published image of PostgreSQL does before its command: an empty PGDATA is made, with the user and the
# database, by a server without TCP; then as postgres the server proper.
set -e
export PATH=/usr/lib/postgresql/17/bin:$PATH
as() { setpriv --reuid postgres --regid postgres --init-groups -- "$@"; }
if [ "$1" = postgres ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    chown -R postgres: "$PGDATA" /var/run/postgresql
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        install -m 600 -o postgres "$POSTGRES_PASSWORD_FILE" /tmp/password
        # shellcheck disable=SC2086
        as initdb --username="$POSTGRES_USER" --pwfile=/tmp/password $POSTGRES_INITDB_ARGS -D "$PGDATA"
        rm /tmp/password
        echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
        as pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
        [ "$POSTGRES_DB" = postgres ] || as createdb --username="$POSTGRES_USER" --no-password "$POSTGRES_DB"
        as pg_ctl -D "$PGDATA" -m fast -w stop
    fi
    exec setpriv --reuid postgres --regid postgres --init-groups -- "$@"
fi
exec "$@"
