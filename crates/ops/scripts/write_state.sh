# shellcheck shell=sh
# Writes standard input as a file, completely or not at all. Spare files beside it reserve room: on a full
# disk the content is written over one of them.
# $1 file, $2 its size in bytes, $3 size of a spare file, $4 how many there are, $5 "first" to fail without
# that room: a restore does not begin if its end could not be written down.
# Exit code: 1 when it arrived incomplete, or no room is left.
# The mask closes the folders above it.
# shellcheck disable=SC2174
set -e; umask 077; f=$1 length=$2 size=$3 last=$4
mkdir -p -m 700 -- "$(dirname -- "$f")"
text=$(cat; printf .); text=${text%.}
[ "$(printf %s "$text" | wc -c)" -eq "$length" ] || { echo 'it arrived incomplete' >&2; exit 1; }
keep() {
    made='' n=0
    while [ $n -lt "$last" ]; do
        n=$((n + 1)); s=$f.spare$n
        [ ! -s "$s" ] || continue
        made=1; head -c "$size" /dev/urandom >"$s" || { rm -f -- "$s"; return 1; }
    done 2>/dev/null
    [ ! "$made" ] || sync -- "$f".spare*
}
named() { mv -f -T -- "$1" "$f" && sync -- "$(dirname -- "$f")" && { keep || :; }; }
if [ "$5" = first ] && ! keep; then
    rm -f -- "$f".spare*
    echo "no room is left in $(dirname -- "$f") for the state of a restore: make room, then run it again" >&2; exit 1
fi
if { printf %s "$text" >"$f.new" && sync -- "$f.new"; } 2>/dev/null; then named "$f.new"; exit 0; fi
rm -f -- "$f.new"
for s in "$f".spare*; do
    [ -s "$s" ] || continue
    if { printf %s "$text" | dd of="$s" conv=notrunc status=none && truncate -s "$length" -- "$s" && sync -- "$s"; } 2>/dev/null
    then named "$s"; exit 0; fi
    rm -f -- "$s"
done
echo "no room is left in $(dirname -- "$f")" >&2; exit 1
