# shellcheck shell=sh
# Compares restored files with live ones. Prints files, bytes, unchanged ones, changed ones, and up to
# three that differ though size and time say that they are the same.
# $1 a folder for lists, then pairs: restored, live.
# Exit code: 1 when reading a live folder does not come to an end.
set -e; work=$1; shift; export LC_ALL=C; umask 077
mkdir -p "$work"; files=0; bytes=0; same=0; changed=0; : >"$work/bad"
list() { [ ! -d "$1" ] || (cd "$1" && find . -type f -printf '%s %T@ %p\0') | sort -z; }
count() { tr -cd '\0' | wc -c; }
while [ $# -ge 2 ]; do
    new=$1; live=$2; shift 2
    list "$new" >"$work/new"; list "$live" >"$work/live"
    n=$(count <"$work/new"); files=$((files + n))
    b=$(cut -z -d' ' -f1 <"$work/new" | tr '\0' '\n' | awk '{ s += $1 } END { printf "%.0f", s }'); bytes=$((bytes + b))
    comm -z -12 "$work/new" "$work/live" | cut -z -d' ' -f3- >"$work/both"
    s=$b; b=$(count <"$work/both"); changed=$((changed + n - b))
    [ "$b" != 0 ] || continue
    (cd "$new" && xargs -0 sha256sum -z -- <"$work/both") >"$work/sum-new"
    # Where a file was, a pipe may be by now, which would be read for ever: 1 MB and 20 files a second.
    c=0; (cd "$live" && timeout $((120 + s / 1000000 + b / 20)) xargs -0 sha256sum -z -- <"$work/both") >"$work/sum-live" || c=$?
    [ $c != 124 ] || { echo "reading $live did not come to an end: does something there exchange files for pipes?" >&2; exit 1; }
    sort -z "$work/sum-new" -o "$work/sum-new"; sort -z "$work/sum-live" -o "$work/sum-live"
    comm -z -23 "$work/sum-new" "$work/sum-live" | cut -z -c67- >"$work/differ"
    again=0
    while IFS= read -r path; do
        # It may have been changed while it was compared.
        # Each of them has to hold.
        # shellcheck disable=SC2015
        [ -f "$live/$path" ] && [ ! -L "$live/$path" ] && [ "$(stat -c '%s %Y' -- "$live/$path")" = "$(stat -c '%s %Y' -- "$new/$path")" ] || continue
        # uutils' sha256sum, which Ubuntu has, ends at a file that is gone, and says nothing of those behind it.
        if timeout $((120 + s / 1000000)) cmp -s -- "$live/$path" "$new/$path"; then again=$((again + 1)); continue; fi
        printf '%s/%s\n' "$live" "$path" >>"$work/bad"
    done <<EOF2
$(tr '\0' '\n' <"$work/differ")
EOF2
    d=$(($(count <"$work/differ") - again)); same=$((same + b - d)); changed=$((changed + d))
done
echo "$files $bytes $same $changed"
head -n 3 "$work/bad"; rm -rf "$work"
