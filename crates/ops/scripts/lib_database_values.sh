# shellcheck shell=sh
# Stands before lib_ask_*.sh and what is asked. Runs in the container of the database; also in the one of
# an export on another host, without a fourth argument there. The password is read from the secret's
# file, else from the environment of the container, as official images do.
# $1 user, $2 database, $3 name of the secret, $4 the dump; what is empty is not given.
# What comes after it uses them.
# shellcheck disable=SC2034
user=$1 database=$2 secret=$3 dump=$4
value() { eval "v=\${$1:-} f=\${$1_FILE:-}"; [ -n "$v" ] || [ -z "$f" ] || v=$(cat "$f"); printf %s "$v"; }
first() { for n; do v=$(value "$n"); [ -z "$v" ] || { printf %s "$v"; return; }; done; }
password() { if [ -n "$secret" ] && [ -r "/run/secrets/$secret" ]; then cat "/run/secrets/$secret"; else first "$@"; fi; }
