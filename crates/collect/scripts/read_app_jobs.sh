# shellcheck shell=sh
# Prints this node's time in seconds, then each file of runs of a job: a line `file APP/JOB.jsonl`, and the
# newest lines of it.
# $1 the folder.
# Exit code: 0 done.
date +%s
cd -- "$1" 2>/dev/null || exit 0
for f in */*.jsonl; do
    [ -f "$f" ] || continue
    printf 'file %s\n' "$f"
    tail -n 60 -- "$f" | head -c 262144
    echo
done
