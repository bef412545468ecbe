# shellcheck shell=sh
# Removes an application's file from the fleet's folder, and writes the author's note of that.
# $1 folder, $2 the note, $3 the application.
# Exit code: 0 also where there is no such folder; not 0 when another one wrote there for half a minute.
set -e; umask 077; cd -- "$1" 2>/dev/null || exit 0
exec 9<.; flock -w 30 9 || { echo "another one has written here for half a minute" >&2; exit 1; }
mkdir -p -- written; printf '%s\n' "$2" >"written/$3.new"; sync -- "written/$3.new"; mv -f -T -- "written/$3.new" "written/$3"
rm -f -- "apps/$3.toml"; [ ! -d apps ] || sync -- apps
