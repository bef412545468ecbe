#!/bin/bash
# What the published image does before its command: for rails and rake it goes on as the user redmine, writes how the
# database is reached, looks for gems, and migrates the tables, for rails alone.
set -e
told() { # told NAME: out of the variable, or of the file that NAME_FILE names
    local file="${1}_FILE"
    if [ -n "${!file-}" ]; then
        export "$1=$(cat "${!file}")"
        unset "$file"
    fi
}
case ${1-} in
rails | rake)
    if [ "$(id -u)" = 0 ]; then
        find config log public/assets tmp files ! -user redmine -exec chown redmine: {} +
        exec gosu redmine "$0" "$@"
    fi
    if [ ! -f config/database.yml ]; then
        told REDMINE_DB_PASSWORD
        cat >config/database.yml <<YML
$RAILS_ENV:
  adapter: postgresql
  host: "$REDMINE_DB_POSTGRES"
  port: "5432"
  username: "$REDMINE_DB_USERNAME"
  password: "$REDMINE_DB_PASSWORD"
  database: "$REDMINE_DB_DATABASE"
  encoding: "utf8"
YML
    fi
    bundle check || bundle install --local
    told REDMINE_SECRET_KEY_BASE
    export SECRET_KEY_BASE="$REDMINE_SECRET_KEY_BASE"
    [ "$1" = rake ] || [ -n "$REDMINE_NO_DB_MIGRATE" ] || rake db:migrate
    [ "$1" = rake ] || [ -z "$REDMINE_PLUGINS_MIGRATE" ] || rake redmine:plugins:migrate
    rm -f tmp/pids/server.pid
    ;;
esac
exec "$@"
