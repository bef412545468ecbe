#!/bin/sh
# Installs what `make dist` needs beside Rust (rustup), git, python3 and Debian's dpkg-deb: Rust's standard
# library for static programs, zig as their C compiler and linker, and what lists the dependencies. Does
# nothing when everything is there.
# Usage: scripts/dist-tools.sh FOLDER ARCHITECTURE…; the programs are in FOLDER/bin afterwards.
set -eu

ZIGBUILD=0.24.0
ZIG=0.16.0
CYCLONEDX=0.5.9

folder=$1
shift

for program in git python3 dpkg-deb gzip xz readelf; do
    command -v "$program" >/dev/null 2>&1 || {
        echo "dist: $program is missing: apt-get install git python3-venv dpkg gzip xz-utils binutils" >&2
        exit 1
    }
done

for arch; do
    target=$arch-unknown-linux-musl
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add "$target"
done

if [ "$(cat "$folder/versions" 2>/dev/null)" != "$ZIGBUILD $ZIG" ]; then
    echo "dist: installing cargo-zigbuild $ZIGBUILD and zig $ZIG"
    python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check --only-binary :all: \
        "cargo-zigbuild==$ZIGBUILD" "ziglang==$ZIG"
    echo "$ZIGBUILD $ZIG" >"$folder/versions"
fi

if [ "$("$folder/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null)" != "cargo-cyclonedx-cyclonedx $CYCLONEDX" ]; then
    cargo install --locked --quiet --root "$folder" "cargo-cyclonedx@$CYCLONEDX"
fi
