#!/bin/sh
# What the official images of Ghost and of MySQL do before their commands, as far as stacks count on it.
set -e

as() { user=$1; shift; exec setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"; }

# What VAR or the file of VAR_FILE says; the one excludes the other.
told() {
    eval "value=\${$1:-} file=\${$1_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then
        echo "$1 and $1_FILE are both set" >&2
        exit 1
    fi
    [ -z "$file" ] || value=$(cat "$file")
    printf %s "$value"
}

# Ghost: the content is of the user who runs it; what it begins with is put where nothing is yet.
start_ghost() {
    if [ "$(id -u)" = 0 ]; then
        find "$GHOST_CONTENT" ! -user node -exec chown node {} +
        as node "$0" "$@"
    fi
    cd "$GHOST_INSTALL/content.orig"
    for part in */ themes/*; do
        part=${part%/}
        if [ ! -e "$GHOST_CONTENT/$part" ]; then
            mkdir -p "$GHOST_CONTENT/$(dirname "$part")"
            tar -cf - "$part" | tar -C "$GHOST_CONTENT" -xf -
        fi
    done
    cd "$GHOST_INSTALL"
    exec "$@"
}

# MySQL: an empty folder becomes a database with its user, made by a server that has a socket only.
start_mysql() {
    data=/var/lib/mysql
    if [ "$(id -u)" = 0 ]; then
        mkdir -p /var/run/mysqld
        find $data /var/run/mysqld ! -user mysql -exec chown -h mysql {} +
        as mysql "$0" "$@"
    fi
    if [ ! -d $data/mysql ]; then
        make_database "$@"
    fi
    exec "$@"
}

make_database() {
    root=$(told MYSQL_ROOT_PASSWORD) database=$(told MYSQL_DATABASE)
    user=$(told MYSQL_USER) password=$(told MYSQL_PASSWORD)
    if [ -n "${MYSQL_RANDOM_ROOT_PASSWORD:-}" ]; then
        root=$(head -c 18 /dev/urandom | base64)
        echo "GENERATED ROOT PASSWORD: $root"
    elif [ -z "$root" ] && [ -z "${MYSQL_ALLOW_EMPTY_PASSWORD:-}" ]; then
        echo "no password of root is said, nor that there is none" >&2
        exit 1
    fi
    "$@" --initialize-insecure
    "$@" --daemonize --skip-networking
    mysql_tzinfo_to_sql /usr/share/zoneinfo 2>/dev/null | mysql -u root mysql
    {
        echo "CREATE USER 'root'@'%' IDENTIFIED BY '$root'; GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
        [ -z "$database" ] || echo "CREATE DATABASE IF NOT EXISTS \`$database\`;"
        if [ -n "$user" ] && [ -n "$password" ]; then
            echo "CREATE USER '$user'@'%' IDENTIFIED BY '$password';"
            [ -z "$database" ] || echo "GRANT ALL ON \`$database\`.* TO '$user'@'%';"
        fi
        echo "ALTER USER 'root'@'localhost' IDENTIFIED BY '$root'; SHUTDOWN;"
    } | mysql -u root
    while [ -e /var/run/mysqld/mysqld.pid ]; do sleep 0.2; done
}

case "$*" in
node*current/index.js*) start_ghost "$@" ;;
mysqld*) start_mysql "$@" ;;
esac
exec "$@"
