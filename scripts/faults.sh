#!/bin/sh
# Puts together what the tests wrote of the faults that they tried: the table in docs/faults.md.
set -eu
cd "$(dirname "$0")/.."
rows=$(cat target/tmp/faults/*.md 2>/dev/null | sort -t '|' -k 4,4 -k 2,2 -u) || :
[ -n "$rows" ] || { echo "no test has written anything yet: run make test and make test-long" >&2; exit 1; }
new=$(mktemp)
sed '/^| ---/q' docs/faults.md >"$new"
printf '%s\n' "$rows" >>"$new"
cat "$new" >docs/faults.md
rm -f "$new"
