#!/bin/sh
# What the published image of Radicale does before its command, without changing ids and settings by variables.
set -e
[ "$TAKE_FILE_OWNERSHIP" != true ] || chown -R radicale:radicale /data
case $1 in
/venv/bin/radicale) exec su-exec radicale "$@" ;;
esac
exec "$@"
