#!/bin/sh
# Tells Joomla the fleet's mail server, at every start; run in the site's folder.
set -eu
[ -n "${MAIL_HOST-}" ] || exit 0
# Joomla makes it unwritable once it is installed.
chmod u+w configuration.php
php /matou/mail.php || echo "Joomla does not take the mail server: set it in its Global Configuration" >&2
chmod a-w configuration.php
