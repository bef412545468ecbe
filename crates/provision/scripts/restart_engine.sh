# shellcheck shell=sh
# Restarts the engine with /etc/docker/daemon.json.matou, and goes back to the old file when it does not
# start or the job is cancelled. No boot reads the new file before the engine has started with it.
# lib_tentative_files.sh stands before it.
# No arguments.
# Exit code: 1 when the engine does not start with it; the old one is back then.
set -e
trap : INT TERM
f=/etc/docker/daemon.json
if dockerd --help 2>/dev/null | grep -q -- '--validate'; then dockerd --validate --config-file "$f.matou"; fi
as_before "$f"
[ ! -e "$f" ] || cp -p "$f" "$f.before-matou"
for_now "$f.matou" "$f" '{}'
# Started often in a short time, it would be held back.
systemctl reset-failed docker.service 2>/dev/null || :
if systemctl restart docker.service && docker version --format ok >/dev/null 2>&1; then
    for_good "$f.matou" "$f"
    exit 0
fi
why=$(journalctl --unit=docker.service --lines=3 --no-pager --output=cat)
as_before "$f"
[ "$(cat "$f")" != '{}' ] || rm -f "$f"
systemctl reset-failed docker.service 2>/dev/null || :
systemctl restart docker.service || :
echo "the engine does not start with the new $f, the old one is back: $why" >&2
exit 1
