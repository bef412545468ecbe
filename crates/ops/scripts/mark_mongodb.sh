# shellcheck shell=sh
# Writes a word into a collection of its own, or reads it. Stands after lib_ask_mongodb.sh.
# $5 `write` or `read`, $6 the word.
# shellcheck disable=SC2154
place="db.getSiblingDB('${database:-matou_try}').matou_try"
case $5 in
write) ask "$place.insertOne({word: '$6'})" ;;
read) ask "print($place.findOne().word)" ;;
esac
