#!/bin/sh
# What the official image does before its command, with WordPress and Apache of Debian.
set -e
site=/var/www/html
case $1 in
apache2*)
    if [ ! -e $site/index.php ] && [ ! -e $site/wp-includes/version.php ]; then
        tar -C /usr/src/wordpress --owner=www-data --group=www-data --exclude=./wp-config.php -cf - . | tar -C $site -xf -
        rm -f $site/index.html
        chown www-data: $site
    fi
    if [ ! -e $site/wp-config.php ]; then
        cat >$site/wp-config.php <<'PHP'
<?php
function told($name) {
    $file = getenv($name . '_FILE');
    return $file ? trim(file_get_contents($file)) : getenv($name);
}
define('DB_HOST', told('WORDPRESS_DB_HOST'));
define('DB_NAME', told('WORDPRESS_DB_NAME'));
define('DB_USER', told('WORDPRESS_DB_USER'));
define('DB_PASSWORD', told('WORDPRESS_DB_PASSWORD'));
define('DB_CHARSET', 'utf8mb4');
$table_prefix = 'wp_';
if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') {
    $_SERVER['HTTPS'] = 'on';
}
eval(getenv('WORDPRESS_CONFIG_EXTRA') ?: '');
if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
PHP
        chown www-data: $site/wp-config.php
    fi
    ;;
esac
exec "$@"
