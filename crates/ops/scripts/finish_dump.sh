# shellcheck shell=sh
# What every dump ends with: gives what was written to $tmp its name, $out, and prints its size.
# lib_dump.sh stands before it.
# Exit code: 1 when the dump is empty.
# lib_dump.sh sets $tmp and $out.
# shellcheck disable=SC2154
[ -s "$tmp" ] || say "the dump is empty"
sync "$tmp" 2>/dev/null || sync
mv -f "$tmp" "$out"
wc -c <"$out"
