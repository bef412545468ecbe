#!/bin/sh
# As the official images of PHP begin.
set -e
case ${1-} in
-*) set -- apache2-foreground "$@" ;;
esac
exec "$@"
