# shellcheck shell=sh
# Makes the rules that change_firewall.sh loaded last. What can fail comes before the step from which
# nothing goes back. Whether the unit could be started is looked at afterwards, as everything is.
# lib_tentative_files.sh stands before it.
# $1 file of the rules (the new ones are in $1.new), $2 file of the hash of those that were confirmed.
# Exit code: not 0 when they could not be kept.
set -e
mkdir -p "${2%/*}"
nft list table inet matou | sha256sum | cut -d' ' -f1 >"$2.new"
systemctl daemon-reload
systemctl enable --quiet matou-firewall.service
for_good "$1.new" "$1"
place "$2.new" "$2"
rm -f "$1.before" /run/matou/firewall.was
systemctl start matou-firewall.service || :
