#!/bin/sh
# Runs all tests; their practice fleets are removed afterwards, whatever happens.
set -eu

matou() { cargo run --locked --quiet -- "$@"; }
fleets_down() {
    down=0
    for fleet in test prov backup res reslocal bak mon reco moved drill sur spec own lock cop era kil esc link; do
        matou lab down --name "$fleet" || down=1
    done
    return $down
}
clean_up() {
    status=$?
    fleets_down || status=1
    exit $status
}
cargo build --locked --all-targets
# Each server's systemd takes a dozen of these: the usual 128 are enough for seven servers.
watches=/proc/sys/fs/inotify/max_user_instances
[ "$(cat $watches)" -ge 1024 ] || echo 1024 >$watches || :
trap clean_up EXIT
trap 'exit 130' INT TERM
# What an earlier run left behind, killed perhaps, is not what this one starts from.
fleets_down
matou lab up --name test

# Two at a time: most tests wait for servers. Those with an ACME authority of their own share its
# ports, so they run one after the other; with them as many others as take as long as the rest.
aside="edge recover watching locks provision"
beside=$(mktemp)
run() { # run TEST... : as cargo's options
    for test in "$@"; do set -- "$@" --test "$test"; shift; done
    cargo test --locked --no-fail-fast "$@"
}
# shellcheck disable=SC2086
run $aside >"$beside" 2>&1 &
others=""
for file in tests/*.rs tests/*/main.rs; do
    test=$(basename "${file%/main.rs}" .rs)
    case " $aside " in *" $test "*) ;; *) others="$others $test" ;; esac
done
failed=0
cargo test --locked --no-fail-fast --lib --bins || failed=1
# shellcheck disable=SC2086
run $others || failed=1
wait $! || failed=1
cat "$beside"
rm -f "$beside"
exit $failed
