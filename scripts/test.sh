#!/bin/sh
# Runs all tests; their practice fleets are removed afterwards, whatever happens.
set -eu

matou() { cargo run --locked --quiet -- "$@"; }
clean_up() {
    status=$?
    for fleet in test prov backup res; do
        matou lab down --name "$fleet" || status=1
    done
    exit $status
}
cargo build --locked --all-targets
trap clean_up EXIT
trap 'exit 130' INT TERM
matou lab up --name test
cargo test --locked --no-fail-fast
