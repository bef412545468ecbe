#!/bin/sh
# Makes what a release consists of, in target/packages: for each architecture the static program, an
# archive and a .deb, and for all of them the list of what is linked into the program (SBOM, CycloneDX),
# install.sh and SHA256SUMS. The same commit and the same Rust give the same bytes, in any folder.
# Usage: scripts/dist.sh [ARCHITECTURE…]: x86_64, aarch64; both without. Environment: DIST_TOOLS is where
# tools are, DIST_REPOSITORY the address of the project (else that of Cargo.toml), DIST_MAINTAINER who makes the
# packages ("Name <mail>", else who made the commit).
set -eu
cd "$(dirname "$0")/.."
root=$PWD
umask 022
export LC_ALL=C TZ=UTC0

[ $# -gt 0 ] || set -- x86_64 aarch64
for arch; do
    case $arch in
        x86_64 | aarch64) ;;
        *) echo "dist: there is no architecture $arch, only x86_64 and aarch64" >&2; exit 2 ;;
    esac
done

MAX_BYTES=$((20 * 1024 * 1024))
tools=${DIST_TOOLS:-$root/target/dist-tools}
target=${CARGO_TARGET_DIR:-$root/target}
out=$target/packages
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
commit=$(git rev-parse --short=10 HEAD)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
maintainer=${DIST_MAINTAINER:-$(git log -1 --format='%an <%ae>')}
repository=${DIST_REPOSITORY:-$(sed -n 's/^repository = "\(.*\)"/\1/p' Cargo.toml | head -n 1)}
# Before the release of that version, also for dpkg.
deb_version=$version
git tag --points-at HEAD | grep -qx "v$version" ||
    deb_version=$version~git$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M).$commit
[ -z "$(git status --porcelain --untracked-files=no)" ] ||
    echo "dist: what is not committed is packed too: this is not what the commit gives" >&2

scripts/dist-tools.sh "$tools" "$@"
PATH=$tools/bin:$PATH
rm -rf "$out"
mkdir -p "$out/files/man" "$out/files/completions"

# ---------------------------------------------------------------- the programs

# No folder of this machine is in the program.
remap() { printf '%s' "--remap-path-prefix=$1=$2"; }
CARGO_ENCODED_RUSTFLAGS=$(remap "$root" /matou)$(printf '\037')$(remap "${CARGO_HOME:-$HOME/.cargo}" /cargo)$(printf '\037')$(remap "$(rustc --print sysroot)" /rust)
export CARGO_ENCODED_RUSTFLAGS
for arch; do
    echo "dist: building for $arch"
    cargo zigbuild --locked --profile dist --target "$arch-unknown-linux-musl" --bin matou
    program=$target/$arch-unknown-linux-musl/dist/matou
    if readelf --program-headers --wide "$program" | grep -q INTERP; then
        echo "dist: $program is not static" >&2
        exit 1
    fi
    bytes=$(wc -c <"$program")
    [ "$bytes" -le "$MAX_BYTES" ] || { echo "dist: $program has $bytes bytes, more than $MAX_BYTES" >&2; exit 1; }
    cp "$program" "$out/files/matou-$arch"
done
unset CARGO_ENCODED_RUSTFLAGS

# ---------------------------------------------------------------- what goes beside them

# Completions as the program prints them: the one that can run here.
printer=$out/files/matou-$(uname -m)
[ -x "$printer" ] || { echo "dist: completions need a program that runs here: build $(uname -m) too" >&2; exit 1; }
for shell in bash zsh fish; do
    "$printer" completions "$shell" >"$out/files/completions/matou.$shell"
done
# Man pages of the command line's definitions.
if grep -q '^    Man' xtask/src/main.rs; then
    cargo xtask man "$out/files/man"
else
    echo "dist: there is no \`cargo xtask man\`: no man pages are packed" >&2
fi

# Of a copy: a list is written beside every Cargo.toml.
copy=$out/source
mkdir "$copy"
git archive HEAD | tar -x -C "$copy"
cargo cyclonedx --manifest-path "$copy/Cargo.toml" --format json --spec-version 1.5 --target all --no-build-deps --quiet
sed "s#$copy#/matou#g" "$copy/matou.cdx.json" >"$out/matou-$version.cdx.json"
rm -rf "$copy"

# ---------------------------------------------------------------- archives

settle() { # the same times for all below a folder
    find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

make_archive() { # ARCHITECTURE
    name=matou-$version-$1-linux
    tree=$out/tree/$name
    mkdir -p "$tree"
    install -m 755 "$out/files/matou-$1" "$tree/matou"
    install -m 644 README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT config.example.toml "$tree/"
    cp -R "$out/files/completions" "$out/files/man" "$tree/"
    tar -c -C "$out/tree" --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 \
        --numeric-owner "$name" | gzip -9n >"$out/$name.tar.gz"
}

# ---------------------------------------------------------------- Debian packages

make_deb() { # ARCHITECTURE
    case $1 in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; esac
    tree=$out/tree/deb-$arch
    docs=$tree/usr/share/doc/matou
    mkdir -p "$tree/DEBIAN" "$docs/examples" "$tree/usr/bin" "$tree/usr/share/man/man1" \
        "$tree/usr/share/lintian/overrides" "$tree/usr/share/bash-completion/completions" \
        "$tree/usr/share/zsh/vendor-completions" "$tree/usr/share/fish/vendor_completions.d"
    install -m 755 "$out/files/matou-$1" "$tree/usr/bin/matou"
    install -m 644 "$out/files/completions/matou.bash" "$tree/usr/share/bash-completion/completions/matou"
    install -m 644 "$out/files/completions/matou.zsh" "$tree/usr/share/zsh/vendor-completions/_matou"
    install -m 644 "$out/files/completions/matou.fish" "$tree/usr/share/fish/vendor_completions.d/matou.fish"
    for page in "$out"/files/man/*.1; do
        [ ! -e "$page" ] || gzip -9nc "$page" >"$tree/usr/share/man/man1/${page##*/}.gz"
    done
    install -m 644 scripts/deb/overrides "$tree/usr/share/lintian/overrides/matou"
    install -m 644 scripts/deb/copyright "$docs/copyright"
    install -m 644 config.example.toml "$docs/examples/config.example.toml"
    install -m 644 README.md "$docs/README.md"
    gzip -9nc "$out/matou-$version.cdx.json" >"$docs/matou.cdx.json.gz"
    {
        printf 'matou (%s) unstable; urgency=medium\n\n' "$deb_version"
        printf '  * Commit %s; what changed for operators is in NEWS.md.gz.\n\n' "$commit"
        printf ' -- %s  %s\n' "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
    } | gzip -9n >"$docs/changelog.gz"
    gzip -9nc CHANGELOG.md >"$docs/NEWS.md.gz"
    find "$tree/usr" -type d -empty -delete
    settle "$tree"
    (cd "$tree" && find usr -type f | sort | xargs md5sum >DEBIAN/md5sums)
    # Kibibytes, each file rounded up, a folder counts one (deb-substvars(5), "Installed-Size").
    size=$(find "$tree/usr" \( -type f -printf '%s\n' \) -o -printf '1\n' | awk '{ n += int(($1 + 1023) / 1024) } END { print n }')
    sed -e "s/@VERSION@/$deb_version/" -e "s/@ARCHITECTURE@/$arch/" -e "s/@MAINTAINER@/$maintainer/" \
        -e "s/@SIZE@/$size/" scripts/deb/control >"$tree/DEBIAN/control"
    [ -z "$repository" ] || sed -i "s#^Description:#Homepage: $repository\n&#" "$tree/DEBIAN/control"
    chmod 644 "$tree"/DEBIAN/*
    settle "$tree"
    dpkg-deb --root-owner-group -Zxz -z6 --threads-max=1 --build "$tree" \
        "$out/matou_${deb_version}_$arch.deb" >/dev/null
}

for arch; do
    make_archive "$arch"
    make_deb "$arch"
done
sed "s#^DEFAULT_URL=.*#DEFAULT_URL=${repository:+$repository/releases/download/v$version}#" scripts/install.sh >"$out/install.sh"
chmod 755 "$out/install.sh"
rm -rf "$out/tree" "$out/files"
(cd "$out" && sha256sum -- * >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS)
ls -l "$out"
