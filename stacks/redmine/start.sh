#!/bin/sh
# Brings Redmine's tables to the version of the code and takes the known password of its first administrator away,
# before its server listens.
set -eu
until ruby -rsocket -e 'Socket.tcp("db", 5432, connect_timeout: 3).close' 2>/dev/null; do
    echo "waits for the database" >&2
    sleep 2
done
ruby /matou/mail.rb >config/configuration.yml
# The entrypoint migrates before it runs what it is given.
/docker-entrypoint.sh rails runner /matou/first.rb
