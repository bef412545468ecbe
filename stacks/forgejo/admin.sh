#!/bin/sh
# Makes Forgejo's administrator once its server answers; it has no variable for it. The file that it
# leaves at its end is what the health check looks for.
set -u
until curl -fsS -o /dev/null http://127.0.0.1:3000/api/v1/version; do sleep 2; done
# Forgejo's client takes a password as an argument alone; nobody else sees this container's processes.
# What has an administrator already gets no second one. The first line of the list names its columns.
until [ "$(su-exec git forgejo admin user list --admin | sed 1d | grep -c .)" -gt 0 ]; do
    su-exec git forgejo admin user create --admin --username "$ADMIN_LOGIN" \
        --password "$(cat /run/secrets/admin_password)" --email "$ADMIN_EMAIL" \
        --must-change-password=false
    sleep 2
done
: >/tmp/administrator-made
