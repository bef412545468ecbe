# shellcheck shell=sh
# Writes a word into a table of its own, or reads it. Stands after lib_ask_postgresql.sh.
# $5 `write` or `read`, $6 the word.
case $5 in
write) ask -v ON_ERROR_STOP=1 -c 'CREATE TABLE matou_try (word text)' -c "INSERT INTO matou_try VALUES ('$6')" ;;
read) ask -Atc 'SELECT word FROM matou_try' ;;
esac
