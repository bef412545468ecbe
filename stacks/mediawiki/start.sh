#!/bin/sh
# Writes MediaWiki's settings, installs it where its database is empty, brings its tables to the version of the code,
# and takes its installer away, all before Apache listens.
set -eu
cd /var/www/html
rm -rf mw-config LocalSettings.php
printf 'sendmail_path = "php /matou/sendmail.php"\n' >/usr/local/etc/php/conf.d/zz-matou.ini
cp /matou/uploads.conf /etc/apache2/conf-enabled/zz-matou.conf
if [ "$SITE_PRIVATE" = true ]; then
    # Files go through img_auth.php, which asks who wants them.
    printf '<Directory /var/www/html/images>\nRequire all denied\n</Directory>\n' >>/etc/apache2/conf-enabled/zz-matou.conf
fi
chown www-data: images
as_site() { setpriv --reuid=www-data --regid=www-data --clear-groups -- "$@"; }
# 0: the wiki is there; 3: nothing is; anything else: the database does not answer.
until as_site php /matou/tables.php; do
    [ $? -eq 3 ] || { sleep 2; continue; }
    into=$(as_site mktemp -d)
    as_site php maintenance/run.php install --dbtype mysql --dbserver db --dbname mediawiki --dbuser mediawiki \
        --dbpassfile /run/secrets/db_password --passfile /run/secrets/admin_password --confpath "$into" \
        --server "https://$SITE_DOMAIN" --scriptpath '' --lang "$SITE_LANGUAGE" \
        "${SITE_TITLE:-$SITE_DOMAIN}" "$ADMIN_LOGIN"
    rm -rf "$into"
    is_new=yes
done
cp /matou/LocalSettings.php LocalSettings.php
# Once for a version of the code, its extensions and the settings: it forgets all sessions, and who was logged in is not
# any more.
[ -r includes/Defines.php ] && [ -r LocalSettings.php ]
described=$({
    cat includes/Defines.php LocalSettings.php
    find extensions skins /config \( -name extension.json -o -name skin.json -o -path '/config/*.php' \) | sort | xargs -d '\n' cat
} | sha256sum | cut -c 1-64)
if ! as_site php /matou/tables.php is "$described"; then
    as_site php maintenance/run.php update --quick
    as_site php /matou/tables.php are "$described"
fi
if [ -n "${is_new-}" ]; then
    # The installer asks for no address; a lost password is mailed to it.
    as_site php maintenance/run.php resetUserEmail --no-reset-password "$ADMIN_LOGIN" "${ADMIN_EMAIL:-admin@$SITE_DOMAIN}"
fi
