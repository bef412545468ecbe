# shellcheck shell=sh
# What rclone speaks; its settings are among the credentials.
# lib_attack_place.sh makes $d.
# shellcheck disable=SC2154
# attack_repository.sh reads $said.
# shellcheck disable=SC2034
base=$3
r() { (credentials; exec rclone --retries 1 --low-level-retries 2 --timeout 30s "$@") 2>"$d/err"; code=$?; said=$(tail -n 1 "$d/err"); return $code; }
get() { rm -f -- "$2"; r copyto "$base$1" "$2"; [ -e "$2" ]; }
put() { r copyto --ignore-times "$2" "$base$1"; }
del() { r deletefile "$base$1"; }
there() { r lsf "$base$(dirname "$1")" >"$d/list" || return 2; grep -qxF "$(basename "$1")" "$d/list"; }
kept() { return 1; }
probes() { :; }
