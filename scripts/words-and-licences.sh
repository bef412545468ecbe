#!/bin/sh
# Looks for misspelt words, and for dependencies that deny.toml does not allow; says plainly what it can't
# check here. Needs no network.
set -eu

if command -v typos >/dev/null 2>&1; then
    typos
else
    echo "typos: not installed, not checked"
fi

if ! command -v cargo-deny >/dev/null 2>&1; then
    echo "cargo-deny: not installed, not checked"
    exit 0
fi
# cargo-deny itself would ask for the dependencies of every platform, Windows too.
host=$(rustc -vV | sed -n 's/^host: //p')
metadata=$(mktemp)
said=$(mktemp)
trap 'rm -f "$metadata" "$said"' EXIT
cargo metadata --locked --offline --all-features --filter-platform "$host" --format-version 1 >"$metadata"
# Duplicates are worth a look now and then, not at every run: `cargo deny check bans` lists them.
if cargo deny --offline --metadata-path "$metadata" check licenses bans sources >"$said" 2>&1; then
    tail -n 1 "$said"
else
    cat "$said" >&2
    exit 1
fi
