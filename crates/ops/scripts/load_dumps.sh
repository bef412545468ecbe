#!/bin/sh
# Starts the databases of this application, loads their dumps, then starts the rest.
# Once: from then on `docker compose up -d` does. `sh load.sh again` loads them once more, and
# replaces what the databases hold.
set -eu
cd "$(dirname "$0")"
compose() {
    if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}
if [ -e load/done ] && [ "${1:-}" != again ]; then
    echo "the dumps were loaded $(cat load/done); starting" >&2
    compose up -d; exit
fi
for entry in load/*.dump; do
    [ -e "$entry" ] || continue
    { read -r service; read -r kind; read -r database; read -r user; read -r secret; read -r file; } <"$entry"
    compose up -d "$service"
    if [ -e "load/$kind.ready" ]; then
        i=0
        until compose exec -T "$service" sh -c "$(cat "load/$kind.ready")" sh "$user" "$database" "$secret" </dev/null >/dev/null 2>&1; do
            i=$((i + 1)); [ $i -lt 300 ] || { echo "$service does not answer: compose logs $service" >&2; exit 1; }
            sleep 1
        done
    fi
    echo "loading $file into $service" >&2
    compose exec -T "$service" sh -c "$(cat "load/$kind.load")" sh "$user" "$database" "$secret" <"$file"
done
date >load/done
compose up -d
