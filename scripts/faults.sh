#!/bin/sh
# Puts what the tests wrote of the faults that they tried into the table of docs/faults.md. Rows of tests
# that have written nothing since stay as they are.
set -eu
cd "$(dirname "$0")/.."
new=$(mktemp)
trap 'rm -f "$new" "$new.rows"' EXIT
cat target/tmp/faults/*.md >"$new.rows" 2>/dev/null || {
    echo "no test has written anything yet: run make test and make test-long" >&2
    exit 1
}
sed '/^| ---/q' docs/faults.md >"$new"
awk -F '|' 'NR == FNR { ran[$(NF - 1)] = 1; print; next }
    /^\| ---/ { rows = 1; next }
    rows && /^\|/ && !($(NF - 1) in ran)' "$new.rows" docs/faults.md |
    sort -t '|' -k 4,4 -k 2,2 -u >>"$new"
cat "$new" >docs/faults.md
