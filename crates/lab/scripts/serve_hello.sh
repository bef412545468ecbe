#!/bin/sh
# Serves a page and says so: a sign of life every ten seconds. Ends at once when asked to. The program
# of the practice fleet's image "hello"; no arguments, exit code 0.
trap 'exit 0' TERM INT
echo "hello $(cat /version) on $(hostname) starts"
httpd -f -v -p 8080 -h /www &
while :; do
    sleep 10 & wait $!
    echo "$(date -u +%FT%TZ) info: hello $(cat /version) on $(hostname) is well"
done
