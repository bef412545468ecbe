# shellcheck shell=sh
# Prints a digest for each salt and file, an empty line where there is none.
# Pairs of arguments: salt, file.
# Exit code: 0.
while [ $# -gt 1 ]; do
    if [ -s "$2" ]; then d=$({ printf '%s:' "$1"; cat -- "$2"; } | sha256sum | cut -c1-16); else d=; fi
    printf '%s\n' "$d"; shift 2
done
