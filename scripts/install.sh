#!/bin/sh
# Installs matou, a static program for Linux on x86_64 and aarch64, out of a release, once its SHA-256 is
# what the release says and the program starts here.
#
#   sh install.sh [ARCHITECTURE…]
#
# Each ARCHITECTURE (x86_64, aarch64) adds the program for managers of that kind, as matou-ARCHITECTURE beside
# matou; `matou provision` finds it there. Environment:
#   MATOU_URL  where the release's files are, SHA256SUMS among them: https, or http on this machine
#   MATOU_BIN  where to; else /usr/local/bin for root, ~/.local/bin for others
# Exit code: 0 installed, 1 not, with the reason, and nothing was changed; 2 wrong usage.
set -eu

DEFAULT_URL=
url=${MATOU_URL:-$DEFAULT_URL}
url=${url%/}

fail() {
    echo "matou is not installed: $*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

download() { # NAME
    case $url in
        https://*) only=https ;;
        *) only=http ;;
    esac
    if has curl; then
        curl --proto "=$only" --fail --silent --show-error --location --max-time 900 --max-filesize 104857600 \
            --output "$tmp/$1" "$url/$1"
    elif has wget; then
        wget -q -O "$tmp/$1" "$url/$1"
    else
        fail "curl or wget is needed"
    fi || fail "$url/$1 can't be downloaded"
}

sha256() { # FILE
    if has sha256sum; then
        sha256sum <"$1"
    elif has openssl; then
        openssl dgst -sha256 -r <"$1"
    else
        fail "sha256sum or openssl is needed"
    fi | cut -d' ' -f1
}

# Fetches the archive for an architecture, compares it with SHA256SUMS and unpacks its program to $tmp/ARCH.
fetch_program() { # ARCHITECTURE
    line=$(grep -E "^[0-9a-f]{64} [ *]matou-[0-9A-Za-z.+~-]+-$1-linux\.tar\.gz\$" "$tmp/SHA256SUMS") ||
        fail "SHA256SUMS of $url names no archive for $1"
    [ "$(printf '%s\n' "$line" | wc -l)" -eq 1 ] || fail "SHA256SUMS of $url names more than one archive for $1"
    archive=${line#*[ *]}
    archive=${archive#[ *]}
    wanted=${line%% *}
    download "$archive"
    got=$(sha256 "$tmp/$archive")
    [ "$got" = "$wanted" ] || fail "$archive is not what SHA256SUMS says: $got instead of $wanted"
    tar -xzf "$tmp/$archive" -C "$tmp" "${archive%.tar.gz}/matou" || fail "$archive holds no matou"
    mv "$tmp/${archive%.tar.gz}/matou" "$tmp/$1"
    chmod 755 "$tmp/$1"
}

put() { # FILE NAME
    if ! { cp "$1" "$bin/.$2.new" && chmod 755 "$bin/.$2.new" && mv -f "$bin/.$2.new" "$bin/$2"; }; then
        rm -f "$bin/.$2.new"
        fail "$bin/$2 can't be written"
    fi
}

case $(uname -s) in
    Linux) ;;
    *) fail "it is for Linux; elsewhere build it: cargo build --release" ;;
esac
case $(uname -m) in
    x86_64 | amd64) here=x86_64 ;;
    aarch64 | arm64) here=aarch64 ;;
    *) fail "there is none for $(uname -m), only for x86_64 and aarch64" ;;
esac
for arch; do
    case $arch in
        x86_64 | aarch64) ;;
        *) echo "usage: sh install.sh [x86_64] [aarch64]" >&2; exit 2 ;;
    esac
done
case $url in
    '') fail "no release is known: set MATOU_URL to where SHA256SUMS is" ;;
    *@*) fail "MATOU_URL holds an @: addresses with a user's name are not taken" ;;
    https://* | http://127.0.0.1[:/]* | http://localhost[:/]* | http://\[::1\]*) ;;
    *) fail "$url is no https address: anybody on the way could change it and its checksums" ;;
esac
if [ -n "${MATOU_BIN:-}" ]; then
    bin=$MATOU_BIN
elif [ "$(id -u)" = 0 ]; then
    bin=/usr/local/bin
else
    bin=${HOME:?}/.local/bin
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
download SHA256SUMS
for arch in "$here" "$@"; do
    [ -e "$tmp/$arch" ] || fetch_program "$arch"
done
version=$("$tmp/$here" --version 2>&1) || fail "it can't start here: $version"

mkdir -p "$bin" || fail "$bin can't be made"
put "$tmp/$here" matou
for arch; do
    put "$tmp/$arch" "matou-$arch"
done
printf '%s\n' "$version" | head -n 1
echo "installed as $bin/matou"
case ":$PATH:" in
    *":$bin:"*) ;;
    *) echo "$bin is not in PATH: add it, or call $bin/matou" ;;
esac
