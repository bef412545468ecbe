# shellcheck shell=sh
# A folder of this machine. Standard input is nothing.
# lib_attack_place.sh makes $d.
# shellcheck disable=SC2154
# attack_repository.sh reads $said.
# shellcheck disable=SC2034
base=$3
get() { cp -- "$base$1" "$2" 2>"$d/err"; said=$(tail -n 1 "$d/err"); [ -e "$2" ] && [ -r "$base$1" ]; }
put() { { cat -- "$2" >"$base$1"; } 2>"$d/err"; said=$(tail -n 1 "$d/err"); }
del() { rm -f -- "$base$1" 2>"$d/err"; said=$(tail -n 1 "$d/err"); }
there() { [ -e "$base$1" ]; }
kept() { return 1; }
probes() { :; }
