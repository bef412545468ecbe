#!/bin/sh
# The PHP in single quotes has variables of its own.
# shellcheck disable=SC2016
# Starts WordPress: its files first, newer ones where the image has them, then the site itself, then
# Apache. Until then nothing is served, an open installer least of all.
set -eu
site=/var/www/html code=/usr/src/wordpress
# Prints the version of WordPress in folder $1.
version() {
    php -r 'include $argv[1] . "/wp-includes/version.php"; echo $wp_version;' -- "$1"
}
# The image's entrypoint copies what is not there yet, for whatever begins with apache2.
docker-entrypoint.sh apache2ctl -v >/dev/null
if [ -f "$code/wp-includes/version.php" ]; then
    has=$(version "$site") brings=$(version "$code")
    if [ "$has" != "$brings" ] &&
        php -r 'exit(version_compare($argv[1], $argv[2], ">") ? 0 : 1);' -- "$brings" "$has"; then
        echo "WordPress $has becomes $brings" >&2
        # The version last: a copy that is cut off is made again. What is the site's own stays.
        tar -C "$code" --owner=www-data --group=www-data --exclude=./wp-content --exclude=./wp-config.php \
            --exclude=./wp-includes/version.php -cf - . | tar -C "$site" -xf -
        cp "$code/wp-includes/version.php" "$site/wp-includes/version.php.new"
        chown www-data: "$site/wp-includes/version.php.new"
        mv "$site/wp-includes/version.php.new" "$site/wp-includes/version.php"
    fi
fi
until setpriv --reuid=www-data --regid=www-data --clear-groups php /matou/install.php; do
    sleep 2
done
