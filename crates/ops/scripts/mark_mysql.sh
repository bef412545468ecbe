# shellcheck shell=sh
# Writes a word into a table of its own, or reads it. Stands after lib_ask_mysql.sh.
# $5 `write` or `read`, $6 the word. Without a database, one is made.
# shellcheck disable=SC2154
if [ -z "$database" ]; then
    database=matou_try
    ask -e 'CREATE DATABASE IF NOT EXISTS matou_try'
fi
case $5 in
write) ask "$database" -e "CREATE TABLE matou_try (word VARCHAR(64)); INSERT INTO matou_try VALUES ('$6')" ;;
read) ask "$database" -e 'SELECT word FROM matou_try' ;;
esac
