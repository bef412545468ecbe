# shellcheck shell=sh
# Dumps MariaDB or MySQL to $tmp. lib_dump.sh stands before it, finish_dump.sh comes after it.
# mysqldump ends every whole dump with a comment. The password is in its own environment alone.
# Exit code: not 0 when the dump is not whole.
# lib_dump.sh sets $tmp.
# shellcheck disable=SC2154
dump=$(command -v mariadb-dump || command -v mysqldump) || say "the container has neither mariadb-dump nor mysqldump"
[ -n "$user" ] || user=root
case $user in
root) secret=$(password MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD);;
*) secret=$(password MARIADB_PASSWORD MYSQL_PASSWORD);;
esac
if [ -n "$database" ]; then set -- "$database"; else set -- --all-databases; fi
# With global transaction ids, as servers of today have them, a dump would want the right to flush all
# tables, and loading it the right to set those ids. One database's dump holds neither. MariaDB has none.
if "$dump" --help 2>/dev/null | grep -q -e --set-gtid-purged; then set -- --set-gtid-purged=OFF "$@"; fi
MYSQL_PWD=$secret "$dump" --user="$user" --single-transaction --quick --routines --triggers --events --hex-blob --no-tablespaces \
    --default-character-set=utf8mb4 --result-file="$tmp" "$@" </dev/null
tail -n 1 "$tmp" | grep -q '^-- Dump completed' || say "the dump does not end as a whole one does"
