#!/bin/sh
# test-job.sh LOGS JOB: runs tests/JOB.rs, several with commas between, or what needs no servers
# ("units"). What they print is printed when they have ended, and kept in LOGS/JOB.log. Exits with 255 never,
# so that xargs goes on with the other jobs; with 1 where a test failed.
set -u

logs=$1
job=$2
log=$logs/$job.log
begun=$(date +%s)
run() { cargo test --locked --all-features --no-fail-fast "$@" || failed=1; }
failed=0
echo "$job: begins"
{
    if [ "$job" = units ]; then
        # As one, since with other features everything would be built once more.
        set --
        for file in crates/*/tests/*.rs; do set -- "$@" --test "$(basename "$file" .rs)"; done
        run --workspace --lib --bins "$@"
    else
        for test in $(echo "$job" | tr ',' ' '); do run --test "$test"; done
    fi
} >"$log" 2>&1
echo "$job: $(($(date +%s) - begun)) s" >>"$log"
# One after the other.
flock "$logs" cat "$log"
exit "$failed"
