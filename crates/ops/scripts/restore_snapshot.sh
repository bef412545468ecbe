# shellcheck shell=sh
# Restores paths of a snapshot into a folder; count_restored.sh comes after it. The body of a unit: the
# functions credentials and restic stand before it. Prints "matou: used BYTES" now and then, where restic
# does not tell how far it is.
# $1 id, $2 folder, $3 options of restic, $4 number of patterns; then the patterns and the paths.
# Exit code: restic's; 1 when the folder could not be made.
# The folders above it are there, or may be open.
# shellcheck disable=SC2174
# $options are words of their own.
# shellcheck disable=SC2086
id=$1; stage=$2; options=$3; n=$4; shift 4
mkdir -p -m 700 -- "$stage" || exit 1
used() { df -B1 --output=used -- "$stage" | tail -n 1 | tr -d ' '; }
before=$(used)
case $options in *--json*) ;; *)
    (exec </dev/null; trap - INT TERM; while sleep 2; do echo "matou: used $(($(used) - before))"; done) & ticks=$! ;;
esac
(
    i=0; while [ $i -lt "$n" ]; do p=$1; shift; set -- "$@" --include "$p"; i=$((i + 1)); done
    i=0; while [ $i -lt "$n" ]; do shift; i=$((i + 1)); done
    credentials; exec restic restore $options --target "$stage" "$id" "$@"
); rc=$?
[ -z "$ticks" ] || { kill "$ticks"; wait "$ticks"; } 2>/dev/null
[ $rc = 0 ] || exit $rc
i=0; while [ $i -lt "$n" ]; do shift; i=$((i + 1)); done
