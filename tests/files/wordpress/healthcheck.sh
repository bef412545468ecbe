#!/bin/sh
# What the official image of MariaDB is asked with.
exec mariadb -e 'SELECT 1' >/dev/null
