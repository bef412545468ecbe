# shellcheck shell=sh
# Function for the scripts that read acme.json; stands before them.
# small FILE: ends the script with 1 when the file is larger than $2 bytes.
most=$2
small() {
    size=$(wc -c <"$1") || exit 1
    [ "$size" -le "$most" ] || { echo "acme.json is larger than $most bytes, which no store of certificates is" >&2; exit 1; }
}
