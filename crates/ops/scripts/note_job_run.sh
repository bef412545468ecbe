# shellcheck shell=sh
# Adds a line from standard input to the file of the runs of a job, which is kept short.
# $1 the folder of all jobs, $2 the application, $3 the job.
# Exit code: 0 done.
set -e; umask 077
mkdir -p -- "$1/$2"
f=$1/$2/$3.jsonl
exec 9>>"$1/.mutex"
flock 9
# A line that was cut off by a full disk must not swallow the next one.
if [ -s "$f" ] && [ "$(tail -c 1 -- "$f" | wc -l)" -eq 0 ]; then echo >>"$f"; fi
cat >>"$f"
if [ "$(wc -l <"$f")" -gt 400 ]; then
    tail -n 200 -- "$f" >"$f.new"
    mv -f -T -- "$f.new" "$f"
fi
sync -- "$f"
