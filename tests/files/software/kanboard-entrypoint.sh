#!/bin/bash
# What the published image of Kanboard does before its services, with nginx and PHP of Debian.
ssl=/etc/nginx/ssl
if [ ! -f $ssl/kanboard.key ] || [ ! -f $ssl/kanboard.crt ]; then
    openssl req -x509 -nodes -newkey rsa:2048 -keyout $ssl/kanboard.key -out $ssl/kanboard.crt -subj /CN=kanboard.org
fi
chown -R nginx:nginx /var/www/app/data /var/www/app/plugins
exec s6-svscan /etc/services.d
