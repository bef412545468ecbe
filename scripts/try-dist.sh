#!/bin/sh
# Tries what `make dist` made where it is to run: starts the static programs in fresh roots of Debian 11, 12
# and 13, those for another processor under qemu-user, installs the .deb and the archive (by install.sh, from a
# server on this machine) there, and asks lintian. Prints a table. As root, on Debian or Ubuntu; it needs the
# network for the roots, which stay in target/try-dist for the next time.
# Usage: scripts/try-dist.sh [SUITE…]: bullseye, bookworm, trixie; all without.
# Exit code: 1 when anything did not go, 2 when something is missing here.
# The emulator is one word or none, and what runs in a root is expanded there.
# shellcheck disable=SC2016,SC2086
set -eu
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- bullseye bookworm trixie
out=${CARGO_TARGET_DIR:-target}/packages
roots=${CARGO_TARGET_DIR:-target}/try-dist
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
here=$(uname -m)

[ "$(id -u)" = 0 ] || { echo "try-dist: run as root: it makes roots and changes into them" >&2; exit 2; }
for program in mmdebstrap lintian qemu-aarch64-static qemu-x86_64-static python3 unshare; do
    command -v "$program" >/dev/null 2>&1 || {
        echo "try-dist: $program is missing: apt-get install mmdebstrap lintian qemu-user-static python3 util-linux" >&2
        exit 2
    }
done
[ -e "$out/SHA256SUMS" ] || { echo "try-dist: there is no $out: make dist" >&2; exit 2; }

mkdir -p "$roots"
log=$roots/log
: >"$log"
failed=0
server=
trap '[ -z "$server" ] || kill "$server"' EXIT

debian() { case $1 in x86_64) echo amd64 ;; aarch64) echo arm64 ;; esac; }

# Makes the root of a suite and an architecture, unless it is there. One of another processor is only
# unpacked: the static program needs nothing of it.
make_root() { # SUITE ARCHITECTURE
    root=$roots/$1-$2
    [ ! -e "$root/.whole" ] || return 0
    rm -rf "$root"
    variant=minbase more=man-db,bash-completion,ca-certificates,curl,openssh-client
    [ "$2" = "$here" ] || variant=extract more=
    mmdebstrap --quiet --variant="$variant" --architectures="$(debian "$2")" ${more:+--include="$more"} \
        "$1" "$root" >>"$log" 2>&1 || return 1
    [ "$2" = "$here" ] || cp "/usr/bin/qemu-$2-static" "$root/usr/bin/"
    : >"$root/.whole"
}

# Runs a program in a root, which has a /proc for as long.
run_in() { # ROOT PROGRAM ARGUMENT…
    timeout 300 unshare --mount --fork sh -c 'root=$1; shift
        mount -t proc proc "$root/proc" && exec chroot "$root" "$@"' sh "$@"
}

# One answer of the table: what was expected, or what came instead goes to the log.
try() { # NAME EXIT-CODE WORDS ROOT PROGRAM ARGUMENT…
    name=$1 code=$2 words=$3
    shift 3
    got=0
    said=$(run_in "$@" 2>&1 </dev/null) || got=$?
    {
        echo "--- $name: $* -> $got"
        printf '%s\n' "$said"
    } >>"$log"
    if [ "$got" = "$code" ] && printf '%s\n' "$said" | grep -qF -- "$words"; then
        answer=ok
    else
        answer=FAILED failed=1
    fi
}

row() { printf '%-10s %-8s %-8s %-8s %-8s %-8s %-8s %-8s %-8s\n' "$@"; }

deb_of() { for deb in "$out"/matou_*_"$(debian "$1")".deb; do echo "$deb"; done; }

try_root() { # SUITE ARCHITECTURE
    root=$roots/$1-$2
    make_root "$1" "$2" || { row "$1" "$2" "no root" - - - - - -; failed=1; return 0; }
    emulator=
    [ "$2" = "$here" ] || emulator=/usr/bin/qemu-$2-static
    tar -xzf "$out/matou-$version-$2-linux.tar.gz" -C "$root/root" --strip-components=1
    rm -rf "$root/root/stacks" && cp -R stacks "$root/root/"
    printf '[[nodes]]\nname = "n1"\naddress = "127.0.0.1"\nport = 9\nrole = "manager"\n' >"$root/root/fleet.toml"
    try start 0 "matou $version" "$root" $emulator /root/matou --version
    start=$answer
    try lint 0 "" "$root" $emulator /root/matou lint /root/stacks/ghost.yml
    lint=$answer
    # There is no fleet: that it says so is what is tried (exit code 4).
    try check 4 "refuses the connection" "$root" $emulator /root/matou --config /root/fleet.toml check
    check=$answer
    deb=- man=- completion=- script=-
    if [ "$2" = "$here" ]; then
        cp "$(deb_of "$2")" "$root/root/matou.deb"
        try deb 0 "" "$root" sh -c 'dpkg --purge matou; dpkg --install /root/matou.deb && [ "$(matou --version)" = "$(/root/matou --version)" ]'
        deb=$answer
        try man 0 "matou" "$root" man --pager=cat matou
        man=$answer
        try completion 0 "deploy" "$root" bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader matou
            COMP_WORDS=(matou dep) COMP_CWORD=1 COMP_LINE="matou dep" COMP_POINT=9 COMP_TYPE=9
            "$(complete -p matou | sed "s/.*-F \([^ ]*\).*/\1/")" matou dep matou; printf "%s\n" "${COMPREPLY[@]}"'
        completion=$answer
        try script 0 "installed as /usr/local/bin/matou" "$root" \
            env MATOU_URL="http://127.0.0.1:$port" sh -c 'rm -f /usr/local/bin/matou; curl -sS "$MATOU_URL/install.sh" | sh'
        script=$answer
        rm -f "$root/usr/local/bin/matou"
    else
        try deb 0 "matou $version" "$root" $emulator /unpacked/usr/bin/matou --version
        deb=$answer
    fi
    row "$1" "$2" "$start" "$lint" "$check" "$deb" "$man" "$completion" "$script"
}

# Serves the packages on a free port of loopback.
python3 -u -c 'import functools, http.server, sys
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *said): pass
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=sys.argv[1])) as server:
    print(server.server_port, flush=True)
    server.serve_forever()' "$out" >"$roots/port" &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s "$roots/port" ] && break; sleep 0.5; done
port=$(cat "$roots/port")

row root program starts lint check .deb man bash install.sh
for suite; do
    for arch in x86_64 aarch64; do
        [ -e "$out/matou-$version-$arch-linux.tar.gz" ] || continue
        if [ "$arch" != "$here" ] && make_root "$suite" "$arch"; then
            dpkg-deb --extract "$(deb_of "$arch")" "$roots/$suite-$arch/unpacked"
        fi
        try_root "$suite" "$arch"
    done
done
for deb in "$out"/*.deb; do
    if said=$(lintian --allow-root --fail-on error,warning --display-info "$deb" 2>&1); then
        echo "lintian ${deb##*/}: ${said:-clean}"
    else
        printf 'lintian %s:\n%s\n' "${deb##*/}" "$said"
        failed=1
    fi
done
[ "$failed" = 0 ] || echo "what was said is in $log"
exit "$failed"
