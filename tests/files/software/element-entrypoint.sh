#!/bin/sh
# What the published image of Element's page does before its command: settings of NGINX_ENVSUBST_TEMPLATE_DIR into
# /etc/nginx/conf.d.
set -e
for file in "${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}"/*.template; do
    name=$(basename "$file" .template)
    # shellcheck disable=SC2016
    envsubst '$ELEMENT_WEB_PORT' <"$file" >"/etc/nginx/conf.d/$name"
done
exec "$@"
