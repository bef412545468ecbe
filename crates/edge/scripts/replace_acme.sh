# shellcheck shell=sh
# Replaces acme.json by what comes on standard input, in one step, with the owner of the old one; that
# stays beside it as .before. lib_acme.sh stands before it.
# $1 the file, $2 size that is the most, $3 size of what comes, in bytes.
# Exit code: not 0 when it arrived incomplete or could not be written; the old one is there then.
set -e
umask 077
rm -f -- "$1.new" "$1.before"
cat >"$1.new"
[ "$(wc -c <"$1.new")" -eq "$3" ] || { echo 'it arrived incomplete' >&2; exit 1; }
sync -- "$1.new"
chown --reference="$1" -- "$1.new"
cp -p -- "$1" "$1.before"
chmod 600 -- "$1.new" "$1.before"
mv -f -- "$1.new" "$1"
