# shellcheck shell=sh
# Backs up, then proves the snapshot: reads its manifest back from the repository and compares it with
# the one on the disk. Checks first that every folder or file exists: restic 0.14 skips a missing one and still
# succeeds. The body of a unit: $limits and the function restic stand before it, and the unit prints into
# the log beside it.
# $1 the manifest; the rest are arguments of restic, -- and folders or files.
# Exit code: restic's (0, 3: files left out); 74 a folder is not there; 76 it could not be read again.
# $limits is set by what stands before it.
# shellcheck disable=SC2154
# $limits are options, words of their own.
# shellcheck disable=SC2086
m=$1; shift; n=; for p; do
    [ -z "$n" ] || [ ! -L "$p" ] || { echo "the folder $p is a link, of which nothing but itself would be backed up: mount there what it leads to (mount --bind)" >&2; exit 74; }
    [ -z "$n" ] || [ -d "$p" ] || [ -f "$p" ] || { echo "the folder $p is not there" >&2; exit 74; }
    [ "$p" != -- ] || n=1
done
restic backup --json $limits "$@"; c=$?
case $c in 0|3) ;; *) exit $c ;; esac
id=$(tail -c 65536 "${0%.sh}.log" | sed -n 's/^{"message_type":"summary",.*"snapshot_id":"\([0-9a-f]*\)".*/\1/p' | tail -n 1)
[ -n "$id" ] || exit $c
r=${0%.sh}.read
restic dump --no-lock -- "$id" "$m" >"$r" && cmp -- "$r" "$m"; e=$?
rm -f -- "$r"
[ $e = 0 ] || exit 76
echo "{\"message_type\":\"matou_read\",\"snapshot_id\":\"$id\"}"
exit $c
