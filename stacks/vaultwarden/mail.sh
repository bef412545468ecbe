#!/bin/sh
# Read by the image's start.sh. An empty SMTP_HOST would be an error to Vaultwarden, so it is given only
# where there is a mail server.
if [ -n "${MAIL_HOST-}" ]; then
    export SMTP_HOST="$MAIL_HOST" SMTP_PORT="${MAIL_PORT-587}" SMTP_FROM="${MAIL_SENDER-}"
    case ${MAIL_SECURITY-} in
    tls) export SMTP_SECURITY=force_tls ;;
    starttls) export SMTP_SECURITY=starttls ;;
    *) export SMTP_SECURITY=off ;;
    esac
    if [ -n "${MAIL_USER-}" ]; then
        export SMTP_USERNAME="$MAIL_USER" SMTP_PASSWORD_FILE=/run/secrets/mail_password
    fi
fi
