# shellcheck shell=sh
# Takes the locks named by $7 and on, all or none, and holds them until it is told to let go.
# $1 folder, $2 who it is (a token), $3 seconds it may wait, $4 seconds of silence after which nobody
# is believed to be there, $5 three lines: who, what, since when, $6 the token of an earlier hold that was lost:
# they are taken only if nobody else had them since (exit code 76: somebody had); - for none.
#
# A lock is a link NAME -> job-TOKEN. Who holds it has job-TOKEN locked (flock): the kernel lets go with
# the process. alive-TOKEN has the time of the last sign of life, which comes as a byte of input: q to let go,
# any other to go on. It is counted from the boot, as the folder lasts: a clock that is set right meanwhile makes no
# holder a silent one. Input that ends, or is silent for long, ends the hold without a word: the links
# stay and tell the next one whose they were.
# The mask closes the folders above it.
# shellcheck disable=SC2174
d=$1 t=$2 wait=$3 silent=$4 content=$5 old=$6; shift 6; umask 077
mkdir -p -m 700 -- "$d" || exit 1
me=$d/job-$t
exec 9>>"$d/.mutex" || exit 1
# Until it is locked, who cleans up takes it for one that a dead one left. `try` lets go.
flock 9 || { echo "flock is not there" >&2; exit 1; }
exec 8>"$me" || exit 1
flock 8 || exit 1
printf '%s\n' "$content" >&8
uptime() { read -r up _ </proc/uptime; up=${up%%.*}; }
live() { # says that it is there
    uptime
    # Whole or not at all: others read it without being asked to wait. Where there is no room for it, the clock counts.
    { echo "$up" >"$d/.alive-$t" && mv -f -- "$d/.alive-$t" "$d/alive-$t"; } 2>/dev/null ||
        rm -f -- "$d/.alive-$t" "$d/alive-$t"
    touch -c -- "$me"
}
silence() { # silence NAME: sets a to the seconds for which who holds it was not heard
    uptime
    since=$(readlink -- "$d/$1"); since=$(cat -- "$d/alive-${since#job-}" 2>/dev/null)
    case $since in
    # One that does not count so: by the clock.
    '' | *[!0-9]*) a=$(($(date +%s) - $(stat -L -c %Y -- "$d/$1"))) ;;
    *) a=$((up - since)) ;;
    esac
    [ "$a" -ge 0 ] || a=0
}
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
        silence "$n"
        if flock -n "$l" true; then continue; fi
        [ "$a" -lt "$silent" ] || continue
        tell busy "$n" "$a"; return 1
    done
    # It may have waited for long.
    live
    for n; do
        [ "$old" != - ] || [ ! -e "$d/$n" ] || { silence "$n"; tell taken "$n" "$a"; }
        ln -sfn -- "job-$t" "$d/$n" || exit 1
    done
    # What the dead left behind and nothing points to any more.
    for f in "$d"/job-*; do
        [ -z "$(find "$d" -maxdepth 1 -lname "${f##*/}")" ] || continue
        ! flock -n "$f" true || rm -f -- "$f" "$d/alive-${f##*/job-}"
    done
    # Of what was cut off between the two.
    for f in "$d"/alive-* "$d"/.alive-*; do [ -e "$d/job-${f##*alive-}" ] || rm -f -- "$f"; done
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
        rm -f -- "$me" "$d/alive-$t"
        echo released
        exit 0
    fi
    live
    for n; do [ "$(readlink -- "$d/$n")" = "job-$t" ] || exit 76; done
    echo held
done
exit 77
