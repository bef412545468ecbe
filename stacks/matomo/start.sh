#!/bin/sh
# Brings Matomo's code up to that of the image, tells it who visits and where mail goes.
# The PHP in single quotes has variables of its own.
# shellcheck disable=SC2016
set -eu
site=/var/www/html code=/usr/src/matomo
as_web() { setpriv --reuid=www-data --regid=www-data --clear-groups "$@"; }
# Prints the version of Matomo in folder $1.
version() {
    sed -n "s/.*const VERSION = '\([^']*\)'.*/\1/p" "$1/core/Version.php"
}
# The image's entrypoint copies what is not there yet.
/entrypoint.sh true
config=$site/config/config.ini.php
if [ ! -f "$config" ] || grep -q installation_in_progress "$config"; then
    exit 0
fi
has=$(version "$site") brings=$(version "$code")
if php -r 'exit(version_compare($argv[1], $argv[2], ">") ? 0 : 1);' -- "$brings" "$has"; then
    echo "Matomo $has becomes $brings" >&2
    # The version last: a copy that is cut off is made again.
    tar -C "$code" --owner=www-data --group=www-data --exclude=./core/Version.php -cf - . |
        tar -C "$site" -xf -
    install -o www-data -g www-data -m 644 "$code/core/Version.php" "$site/core/Version.php"
    rm -rf "$site"/tmp/cache/*
fi
# Changes nothing when the tables are as the code wants them.
as_web php "$site/console" core:update --yes
# Else every visitor would be Traefik.
as_web php "$site/console" config:set 'General.proxy_client_headers=["HTTP_X_FORWARDED_FOR"]' \
    'General.assume_secure_protocol=1' 'General.enable_browser_archiving_triggering=0'
if [ -n "${MAIL_HOST-}" ]; then
    case ${MAIL_SECURITY-} in tls) secure=ssl ;; starttls) secure=tls ;; *) secure=none ;; esac
    as_web php -r '
        require "/var/www/html/vendor/autoload.php";
        $file = "/var/www/html/config/config.ini.php";
        $ini = (new Matomo\Ini\IniReader())->readFile($file);
        $ini["mail"] = ["transport" => "smtp", "host" => getenv("MAIL_HOST"), "port" => getenv("MAIL_PORT"),
            "encryption" => $argv[1], "type" => getenv("MAIL_USER") ? "LOGIN" : "",
            "username" => getenv("MAIL_USER"),
            "password" => trim((string) @file_get_contents("/run/secrets/mail_password"))];
        $ini["General"]["noreply_email_address"] = getenv("MAIL_SENDER");
        (new Matomo\Ini\IniWriter())->writeToFile($file, $ini, "; <?php exit; ?> DO NOT REMOVE THIS LINE\n");
    ' -- "$secure" || echo "Matomo does not take the mail server: set it in its settings" >&2
fi
