#!/bin/sh
# Writes DokuWiki's settings out of the stack's variables, makes the administrator where nobody is, and takes the
# installer away before Apache listens.
set -eu
rm -f /var/www/html/install.php
printf 'sendmail_path = "php /matou/sendmail.php"\n' >/usr/local/etc/php/conf.d/zz-matou.ini
mkdir -p /storage/conf
cp /matou/settings.php /storage/conf/local.protected.php
[ -s /storage/conf/users.auth.php ] || php /matou/first.php
