# shellcheck shell=sh
# Loads new rules, after a test, and remembers whether there were any. restore_firewall.sh takes it back,
# keep_firewall.sh makes it last. lib_tentative_files.sh stands before it.
# $1 file of the rules (the new ones are in $1.new), $2 file of the hash of those that were confirmed.
# Exit code: not 0 when they are not valid.
set -e
was=/run/matou/firewall.was
nft -c -f "$1.new"
if nft list table inet matou >/dev/null 2>&1; then echo rules >"$was"; else echo none >"$was"; fi
nft -f "$1.new"
