#!/bin/sh
# Runs all tests; their practice fleets are removed afterwards, whatever happens.
set -eu

# Built below, with everything else.
matou() { "${CARGO_TARGET_DIR:-target}/debug/matou" "$@"; }
fleets_down() {
    down=0
    for fleet in hist test edge nam prov backup reh res reslocal bak vols mon full reco moved drill sur spec own lock cop era kil esc link try press job eng adopt seed tell tellha room runs appjobs names soft sites dates wiki pedia tracker first page pageto lines dns vold; do
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
cargo build --locked --workspace --all-targets --all-features
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

# Five at a time, since most wait for servers: the longest first, so that none is left alone at the end.
# Tests of one job share a fleet.
longest="recover restore volumes edge backup units provision fleet,console,scaleway rehearse images kills page
locks watching dns domains run links history service_jobs specs tell room linear names intrusions,search"
rest=""
for file in tests/*.rs tests/*/main.rs; do
    test=$(basename "${file%/main.rs}" .rs)
    case ",$(echo "$longest" | tr ' \n' ',,')," in *",$test,"*) ;; *) rest="$rest $test" ;; esac
done
logs=$(mktemp -d)
# shellcheck disable=SC2086
printf '%s\n' $longest $rest | xargs -P 5 -n 1 scripts/test-job.sh "$logs" || touch "$logs/failed"
[ -e "$logs/failed" ] || exit 0
# Once more where it is looked for: at the end. Of what a failed test said, the beginning tells which
# assertion failed, and the end why: a job's reason is its last line.
echo "What failed, and why:"
cat "$logs"/*.log | grep "^test .* FAILED$" || :
for log in "$logs"/*.log; do
    awk '
        function say(i) { for (i = 1; i <= n; i++) if (i <= 6 || i > n - 30) print said[i]; n = 0 }
        /^---- .* stdout ----$/ { say(); inside = 1 }
        /^failures:$/ { say(); inside = 0 }
        inside { said[++n] = $0 }
        END { say() }
    ' "$log"
done
exit 1
