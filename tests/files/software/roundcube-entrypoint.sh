#!/bin/bash
# What the published image of Roundcube does before its command, for PostgreSQL: code into the empty /var/www/html,
# its configuration out of variables and secrets of fixed names, the tables.
case $1 in
apache2*)
    [ -e index.php ] || tar -C /usr/src/roundcubemail -cf - . | tar -xf -
    password=$(cat /run/secrets/roundcube_db_password)
    for _ in $(seq 30); do
        ! (exec 3<>"/dev/tcp/$ROUNDCUBEMAIL_DB_HOST/$ROUNDCUBEMAIL_DB_PORT") 2>/dev/null || break
        sleep 1
    done
    cat >config/config.inc.php <<'PHP'
<?php
$config['plugins'] = [];
$config['log_driver'] = 'stdout';
$config['zipdownload_selection'] = true;
include(__DIR__ . '/config.docker.inc.php');
PHP
    cat >config/config.docker.inc.php <<PHP
<?php
\$config['db_dsnw'] = 'pgsql://$ROUNDCUBEMAIL_DB_USER:$password@$ROUNDCUBEMAIL_DB_HOST:$ROUNDCUBEMAIL_DB_PORT/$ROUNDCUBEMAIL_DB_NAME';
\$config['imap_host'] = '$ROUNDCUBEMAIL_DEFAULT_HOST:$ROUNDCUBEMAIL_DEFAULT_PORT';
\$config['smtp_host'] = '$ROUNDCUBEMAIL_SMTP_SERVER:$ROUNDCUBEMAIL_SMTP_PORT';
\$config['username_domain'] = '$ROUNDCUBEMAIL_USERNAME_DOMAIN';
\$config['temp_dir'] = '/tmp/roundcube-temp';
\$config['skin'] = 'elastic';
\$config['request_path'] = '/';
\$config['plugins'] = ['archive', 'zipdownload'];
PHP
    if [ -e /run/secrets/roundcube_des_key ]; then
        echo "\$config['des_key'] = file_get_contents('/run/secrets/roundcube_des_key');" >>config/config.docker.inc.php
    fi
    for file in /var/roundcube/config/*.php; do
        [ ! -e "$file" ] || echo "include('$file');" >>config/config.docker.inc.php
    done
    bin/initdb.sh || echo "Failed to initialize/update the database. Please start with an empty database and restart the container."
    mkdir -p /tmp/roundcube-temp
    chown www-data /tmp/roundcube-temp
    printf 'upload_max_filesize=%s\npost_max_size=%s\n' "$ROUNDCUBEMAIL_UPLOAD_MAX_FILESIZE" "$ROUNDCUBEMAIL_UPLOAD_MAX_FILESIZE" \
        >>/usr/local/etc/php/conf.d/roundcube-override.ini
    ;;
esac
exec "$@"
