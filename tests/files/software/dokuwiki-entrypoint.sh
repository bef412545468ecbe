#!/bin/bash
# What the published image of DokuWiki does before Apache: the volume has its folders, the image's own pages, and links
# to the image's plugins and templates.
set -e
mkdir -p /storage/conf /storage/data
cp -r /var/www/html/data.core/. /storage/data
ln -sfn /var/www/html/conf.core/license.php /storage/conf/license.php
for kind in plugins tpl; do
    mkdir -p "/storage/lib/$kind"
    for own in "/var/www/html/lib/$kind.core"/*; do
        rm -rf "/storage/lib/$kind/${own##*/}"
        ln -s "$own" "/storage/lib/$kind/"
    done
done
chown -R www-data: /storage
exec apache2-foreground
