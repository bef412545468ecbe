# shellcheck shell=sh
# Prints, for each application of which something of a restore is kept, a line with its name, a space, and
# the manifest of its last backup, or nothing where that is not a file.
# $1 matou's folder on the storage node.
# Exit code: 0, also when there is none.
exec </dev/null
for state in "$1"/restores/*.json; do
  app=${state##*/} app=${app%.json}
  case $app in '' | *[!A-Za-z0-9_-]*) continue ;; esac
  manifest=$1/dumps/$app/manifest.json
  printf '%s ' "$app"
  [ ! -f "$manifest" ] || [ -L "$manifest" ] || head -c 1000000 -- "$manifest" | tr -d '\n'
  echo
done
:
