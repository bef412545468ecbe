# shellcheck shell=sh
# Removes a volume, and before it the containers that have ended and still hold it. Tried for 20 s.
# $1 volume.
# Exit code: 1 when it could not be removed.
i=0
until docker volume rm -- "$1" >/dev/null; do
    docker ps -aq --filter volume="$1" --filter status=exited --filter status=created --filter status=dead |
        xargs -r docker rm >/dev/null
    i=$((i+1)); [ $i -lt 20 ] || exit 1; sleep 1
done
