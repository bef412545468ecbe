#!/bin/sh
# Writes Radicale's settings out of the stack's variables, and makes the first account where there is none: without both,
# Radicale's own settings let everybody in.
set -eu
umask 077
# Radicale's settings have one line a value.
line() { printf '%s' "$1" | tr '\n\r' '  '; }
cat >/config/matou.new <<END
[server]
hosts = 0.0.0.0:5232
[auth]
type = htpasswd
htpasswd_filename = /data/users
htpasswd_encryption = bcrypt
[rights]
type = owner_only
[storage]
filesystem_folder = /data/collections
[headers]
Content-Security-Policy = default-src 'self'; object-src 'none'
END
if [ -n "${MAIL_HOST:-}" ]; then
    cat >>/config/matou.new <<END
[hook]
type = email
smtp_server = $(line "$MAIL_HOST")
smtp_port = $(line "${MAIL_PORT:-587}")
smtp_security = $(line "$MAIL_SECURITY")
smtp_username = $(line "${MAIL_USER:-}")
smtp_password = $(line "$(cat /run/secrets/mail_password)")
from_email = $(line "$MAIL_SENDER")
END
fi
chown radicale: /config/matou.new
mv /config/matou.new /config/config
[ -e /data/users ] || radicale-user "$ADMIN_LOGIN" </run/secrets/admin_password
