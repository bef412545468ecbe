# shellcheck shell=sh
# Takes the locks named by $7 and on, all or none, and holds them until it is told to let go.
# $1 folder, $2 who it is (a token), $3 seconds it may wait, $4 seconds of silence after which nobody
# is believed to be there, $5 three lines: who, what, since when, $6 the token of an earlier hold that was lost:
# they are taken only if nobody else had them since (exit code 76: somebody had); - for none.
#
# A lock is a link NAME -> job-TOKEN. Who holds it has job-TOKEN locked (flock): the kernel lets go with
# the process. Its time is that of the last sign of life, which comes as a byte of input: q to let go,
# any other to go on. Input that ends, or is silent for long, ends the hold without a word: the links
# stay and tell the next one whose they were.
# The mask closes the folders above it.
# shellcheck disable=SC2174
d=$1 t=$2 wait=$3 silent=$4 content=$5 old=$6; shift 6; umask 077
mkdir -p -m 700 -- "$d" || exit 1
me=$d/job-$t
exec 9>>"$d/.mutex" 8>"$me" || exit 1
flock 8 || { echo "flock is not there" >&2; exit 1; }
printf '%s\n' "$content" >&8
tell() { # tell WORD NAME AGE
    printf '%s\t%s\t%s\t' "$1" "$2" "$3"; tr '\n' '\t' <"$d/$2"; echo
}
try() {
    flock 9
    for n; do
        l=$d/$n
        if [ "$old" != - ]; then
            [ "$(readlink -- "$l")" != "job-$old" ] || continue
            rm -f -- "$me"; exit 76
        fi
        [ -e "$l" ] || continue
        a=$(($(date +%s) - $(stat -L -c %Y -- "$l")))
        [ "$a" -ge 0 ] || a=0
        if flock -n "$l" true; then continue; fi
        [ "$a" -lt "$silent" ] || continue
        tell busy "$n" "$a"; return 1
    done
    # It may have waited for long.
    touch -c -- "$me"
    for n; do
        [ "$old" != - ] || [ ! -e "$d/$n" ] || tell taken "$n" "$(($(date +%s) - $(stat -L -c %Y -- "$d/$n")))"
        ln -sfn -- "job-$t" "$d/$n" || exit 1
    done
    # What the dead left behind and nothing points to any more.
    for f in "$d"/job-*; do
        [ -z "$(find "$d" -maxdepth 1 -lname "${f##*/}")" ] || continue
        ! flock -n "$f" true || rm -f -- "$f"
    done
}
i=0
until try "$@"; do
    flock -u 9
    [ $i -lt "$wait" ] || { rm -f -- "$me"; exit 75; }
    i=$((i + 1)); sleep 1 8>&- 9>&-
done
flock -u 9
echo held
while x=$(timeout --foreground "$silent" head -c 1 8>&- 9>&-) && [ -n "$x" ]; do
    if [ "$x" = q ]; then
        flock 9
        for n; do [ "$(readlink -- "$d/$n")" != "job-$t" ] || rm -f -- "$d/$n"; done
        rm -f -- "$me"
        echo released
        exit 0
    fi
    touch -c -- "$me"
    for n; do [ "$(readlink -- "$d/$n")" = "job-$t" ] || exit 76; done
    echo held
done
exit 77
