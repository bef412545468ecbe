# shellcheck shell=sh
# Tries to overwrite and to delete one file of a repository, and puts it back. It is the attack's
# own. `get`, `put`, `del` and `there` (0 yes, 1 no, 2 nobody knows) are the protocol's; what was
# answered is in `said`. What was possible is read from the repository, not from the answers.
# $d and $said are set by what stands before it.
# shellcheck disable=SC2154
same() { get "$1" "$d/now" && cmp -s "$d/now" "$2"; }
back() { put "$1" "$d/was"; same "$1" "$d/was" || echo "damaged $1"; }
get "$1" "$d/was" || { echo "unread $said"; exit 0; }
{ cat "$d/was"; echo attacked; } >"$d/other"

put "$1" "$d/other"; told=$said
if same "$1" "$d/was"; then echo "overwrite refused $told"
elif there "$1" && get "$1" "$d/now"; then
    if kept "$1"; then echo "overwrite kept"; else echo "overwrite could"; fi
    back "$1"
else echo "overwrite unclear $told"; fi

del "$1"; told=$said
there "$1"
case $? in
0) echo "delete refused $told" ;;
1)
    if kept "$1"; then echo "delete kept"; else echo "delete could"; fi
    back "$1" ;;
*) echo "delete unclear $told" ;;
esac
probes "$2"
