#!/bin/sh
# Runs all tests; the practice fleet that they share is removed afterwards, whatever happens.
set -eu

matou() { cargo run --locked --quiet -- "$@"; }
clean_up() {
    status=$?
    matou lab down --name test || status=1
    exit $status
}
cargo build --locked --all-targets
trap clean_up EXIT
trap 'exit 130' INT TERM
matou lab up --name test
cargo test --locked --no-fail-fast
