#!/bin/sh
# Runs the tests in which the engine and restic say most, one after the other, on practice fleets with the
# engines that are given (by default those that `make test` leaves out). Prints each test with its time.
# test-engines.sh [ENGINE...], as 20.10; MATOU_TEST_ONLY names the files of tests, with spaces.
set -eu

tests=${MATOU_TEST_ONLY:-fleet service_jobs specs edge backup restore recover adopt volumes history}
fleets="test job spec edge backup res reslocal reco moved drill adopt vols vold hist"
[ $# -gt 0 ] || set -- 20.10 26.1

matou() { "${CARGO_TARGET_DIR:-target}/debug/matou" "$@"; }
fleets_down() {
    down=0
    for fleet in $fleets; do
        matou lab down --name "$fleet" || down=1
    done
    return $down
}
# By the trap.
# shellcheck disable=SC2317
clean_up() {
    status=$?
    rm -rf "${logs-}"
    fleets_down || status=1
    exit "$status"
}
options=""
for test in $tests; do options="$options --test $test"; done
# shellcheck disable=SC2086
cargo build --locked --all-features --bins $options
logs=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT TERM
fleets_down

run() { cargo test --quiet --locked --all-features --test "$@"; }
failed=0
for engine in "$@"; do
    export MATOU_LAB_ENGINE="$engine"
    for test in $tests; do
        for name in $(run "$test" -- --list --format terse | sed -n 's/: test$//p'); do
            begun=$(date +%s)
            outcome=ok
            run "$test" -- --exact "$name" --nocapture >"$logs/log" 2>&1 || outcome=FAILED
            # One that is for `make test-long`.
            grep -q '1 ignored' "$logs/log" && continue
            printf '%-6s %-6s %5s s  %s::%s\n' "$engine" "$outcome" $(($(date +%s) - begun)) "$test" "$name"
            [ "$outcome" = ok ] || { failed=1 && tail -n 40 "$logs/log"; }
        done
    done
    # Each engine has fleets of its own.
    fleets_down
done
exit $failed
