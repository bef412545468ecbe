#!/bin/sh
# Makes the packages of the newest commit once more, from a fresh clone in a folder of another name, and
# compares every byte with target/packages, which `make dist` made of the same commit.
# Usage: scripts/dist-again.sh [ARCHITECTURE…]: those that target/packages was made for; both without.
# Exit code: 1 when any file differs.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
first=$target/packages
[ -e "$first/SHA256SUMS" ] || { echo "dist-again: there is no $first: make dist" >&2; exit 1; }

clone=$(mktemp -d "${TMPDIR:-/tmp}/matou-again-XXXXXX")
trap 'rm -rf "$clone"' EXIT
git clone --quiet --no-local . "$clone/source"
(
    unset CARGO_TARGET_DIR
    DIST_TOOLS=${DIST_TOOLS:-$target/dist-tools} "$clone/source/scripts/dist.sh" "$@"
)
if diff -u "$first/SHA256SUMS" "$clone/source/target/packages/SHA256SUMS"; then
    echo "dist-again: the same bytes: $(wc -l <"$first/SHA256SUMS") files"
else
    echo "dist-again: these differ" >&2
    exit 1
fi
