# shellcheck shell=sh
# Prints files of a volume as an archive. Their paths come on standard input, each with a NUL at its end. What
# went or changed meanwhile is no failure: the next list has it.
# $1 the volume's folder.
# Exit code: 74 the folder is not there; 1 something could not be read, which is told.
cd -- "$1" 2>/dev/null || { echo "the folder $1 is not there" >&2; exit 74; }
said=$(mktemp) || exit
tar -c -f - --format=posix --numeric-owner --sparse --xattrs --acls --no-recursion --null -T - 2>"$said"; c=$?
# What tar says of a file ends so; a name can't end a line, as tar quotes it.
sed -i -e '/: Cannot stat: No such file or directory$/d' -e '/: file changed as we read it$/d' \
    -e '/: File removed before we read it$/d' -e '/: socket ignored$/d' \
    -e '/^tar: Exiting with failure status due to previous errors$/d' -- "$said"
left=$(tail -n 5 -- "$said"); rm -f -- "$said"
[ -z "$left" ] || printf '%s\n' "$left" >&2
case $c in 0|1|2) [ -z "$left" ] ;; *) exit 1 ;; esac
