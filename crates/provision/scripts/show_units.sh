# shellcheck shell=sh
# A part of the facts: prints which units there are, then what systemd says of them. A line before this
# one says what $folders are.
# Arguments: units.
# Exit code: systemctl's.
# The line before it sets $folders.
# shellcheck disable=SC2154
there=
for unit; do for folder in $folders; do
    [ -e "$folder/$unit" ] && { there="$there $unit"; break; }
done; done
echo "$there"
# Units are words of their own.
# shellcheck disable=SC2086
[ -z "$there" ] || systemctl show --property=LoadState,ActiveState,SubState,UnitFileState -- $there
