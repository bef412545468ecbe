# shellcheck shell=sh
# Copies the database of SQLite, the file $database, to $tmp. lib_dump.sh stands before it, finish_dump.sh
# comes after it.
# Exit code: not 0 when the copy is damaged.
# lib_dump.sh sets $database and $tmp.
# shellcheck disable=SC2154
have sqlite3 || say "the container has no sqlite3: give x-matou's dump a command instead of an engine"
[ -f "$database" ] || say "there is no database $database in the container"
sqlite3 -cmd '.timeout 60000' "$database" ".backup '$tmp'"
[ "$(sqlite3 "$tmp" 'PRAGMA quick_check')" = ok ] || say "the copy of $database is damaged"
