#!/bin/sh
# Tells PrestaShop the fleet's mail server; the image runs it at every start.
[ -n "${MAIL_HOST-}" ] || exit 0
runuser -u www-data -- php /matou/mail.php ||
    echo "PrestaShop does not take the mail server: set it in its back office" >&2
