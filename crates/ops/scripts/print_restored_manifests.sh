# shellcheck shell=sh
# Prints, for each application of which something of a restore is kept, a line with its name, a space, and
# the manifest of its last backup.
# $1 matou's folder on the storage node.
# Exit code: 0, also when there is none.
exec </dev/null
for state in "$1"/restores/*.json; do
  app=${state##*/} app=${app%.json}
  case $app in '' | *[!a-z0-9-]*) continue ;; esac
  manifest=$1/dumps/$app/manifest.json
  [ -f "$manifest" ] || continue
  [ ! -L "$manifest" ] || continue
  printf '%s ' "$app"
  head -c 1000000 -- "$manifest" | tr -d '\n'
  echo
done
:
