#!/bin/sh
# Runs all tests; their practice fleets are removed afterwards, whatever happens.
set -eu

# Built below, with everything else.
matou() { "${CARGO_TARGET_DIR:-target}/debug/matou" "$@"; }
fleets_down() {
    down=0
    for fleet in hist test prov backup reh res reslocal bak vols mon full reco moved drill sur spec own lock cop era kil esc link try press job eng adopt seed tell room runs appjobs names soft sites dates wiki pedia tracker first page; do
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
cargo build --locked --all-targets --all-features
# Each server's systemd takes a dozen of these: the usual 128 are enough for seven servers.
watches=/proc/sys/fs/inotify/max_user_instances
[ "$(cat $watches)" -ge 1024 ] || echo 1024 >$watches || :
# Traefik, for the labels that matou writes. A test that skips itself for want of it is one that fails.
MATOU_TRAEFIK=$(scripts/traefik.sh)
MATOU_REQUIRE_TRAEFIK=1
export MATOU_TRAEFIK MATOU_REQUIRE_TRAEFIK
trap clean_up EXIT
trap 'exit 130' INT TERM
# What an earlier run left behind, killed perhaps, is not what this one starts from.
fleets_down
matou lab up --name test

# Three at a time: most tests wait for servers. Those with an ACME authority of their own share its
# ports, so they run one after the other; the long ones beside them take as long as the rest.
acme="edge domains recover watching wordpress run tell volumes page"
long="provision backup specs links kills restore rehearse"
logs=$(mktemp -d)
begun=$(date +%s)
took() { echo "$1: done after $((($(date +%s) - begun) / 60)) min"; }
run() { # run TEST... : as cargo's options
    for test in "$@"; do set -- "$@" --test "$test"; shift; done
    cargo test --locked --all-features --no-fail-fast "$@"
}
# shellcheck disable=SC2086
{ run $acme || touch "$logs/failed"; took acme; } >"$logs/acme" 2>&1 &
acme_pid=$!
# shellcheck disable=SC2086
{ run $long || touch "$logs/failed"; took long; } >"$logs/long" 2>&1 &
long_pid=$!
others=""
for file in tests/*.rs tests/*/main.rs; do
    test=$(basename "${file%/main.rs}" .rs)
    case " $acme $long " in *" $test "*) ;; *) others="$others $test" ;; esac
done
{
    cargo test --locked --workspace --all-features --no-fail-fast --lib --bins || touch "$logs/failed"
    cargo test --locked -p matou-stack -p matou-history --all-features --no-fail-fast --test '*' || touch "$logs/failed"
    # shellcheck disable=SC2086
    run $others || touch "$logs/failed"
    took others
} 2>&1 | tee "$logs/others"
wait $acme_pid || touch "$logs/failed"
wait $long_pid || touch "$logs/failed"
cat "$logs/acme" "$logs/long"
[ -e "$logs/failed" ] || exit 0
# Once more where it is looked for: at the end. Of what a failed test said, the beginning tells which
# assertion failed, and the end why: a job's reason is its last line.
echo "What failed, and why:"
grep -h "^test .* FAILED$" "$logs/others" "$logs/acme" "$logs/long" || :
for log in "$logs/others" "$logs/acme" "$logs/long"; do
    awk '
        function say(i) { for (i = 1; i <= n; i++) if (i <= 6 || i > n - 30) print said[i]; n = 0 }
        /^---- .* stdout ----$/ { say(); inside = 1 }
        /^failures:$/ { say(); inside = 0 }
        inside { said[++n] = $0 }
        END { say() }
    ' "$log"
done
exit 1
