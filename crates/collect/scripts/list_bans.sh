# shellcheck shell=sh
# Prints what fail2ban has banned, as lines KEY TAB VALUE: "absent", "down", "zone" (of its times), "ban".
# $1 how many of each jail at most.
# Exit code: 0, also without fail2ban.
exec </dev/null
command -v fail2ban-client >/dev/null || { echo absent; exit 0; }
status=$(fail2ban-client status 2>&1) || { printf 'down\t%s\n' "$status"; exit 0; }
printf 'zone\t%s\n' "$(date +%z)"
printf '%s\n' "$status" | sed -n 's/.*Jail list:[[:space:]]*//p' | tr ',' '\n' | while read -r jail; do
  [ -n "$jail" ] || continue
  fail2ban-client get "$jail" banip --with-time | head -n "$1" | while IFS= read -r ban; do
    printf 'ban\t%s\t%s\n' "$jail" "$ban"
  done
done
