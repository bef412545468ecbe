# shellcheck shell=sh
# Prints the JSON files of a folder, the newest 500, each with a null byte at its end; of a larger one the beginning.
# $1 the folder; it may be missing.
# Exit code: 0 done.
set -e
cd -- "$1" 2>/dev/null || exit 0
# shellcheck disable=SC2012
ls -t | head -n 500 | while IFS= read -r name; do
  case $name in *.json) ;; *) continue ;; esac
  if [ ! -f "$name" ] || [ -L "$name" ]; then continue; fi
  head -c 131072 -- "$name"
  printf '\0'
done
