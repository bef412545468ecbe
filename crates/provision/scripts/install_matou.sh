# shellcheck shell=sh
# Installs the program that comes on standard input, once it has started here and said its version. Until
# then, and when it does not, the one that is there stays.
# $1 where to, $2 its SHA-256, $3 the file that remembers this, $4 the version that it has to say.
# Exit code: 1 when it arrived damaged, can't start here or is of another version; not 0 when it could not
# be written.
set -e
trap 'rm -f "$1.new"' EXIT
cat >"$1.new"
got=$(sha256sum "$1.new" | cut -d' ' -f1)
[ "$got" = "$2" ] || { echo "the program arrived damaged" >&2; exit 1; }
chmod 755 "$1.new"
code=0
said=$(timeout 20 "$1.new" --version 2>&1) || code=$?
said=$(printf '%s\n' "$said" | head -n 1)
[ "$code" = 0 ] || {
    echo "it can't start here, what was there stays: ${said:-exit code $code}" >&2
    exit 1
}
case "$said " in
    "matou $4 "*) ;;
    *)
        echo "it says \"$said\", not \"matou $4\", what was there stays: build both from the same source" >&2
        exit 1
        ;;
esac
sync "$1.new"; mv -f "$1.new" "$1"; sync "${1%/*}"
mkdir -p "${3%/*}"; echo "$2" >"$3"
