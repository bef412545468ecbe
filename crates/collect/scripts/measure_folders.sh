# shellcheck shell=sh
# Prints how much folders take, and the file systems that they lie on. Links are not followed, and what
# is mounted below a folder is not counted.
# $1 seconds that it may take, the others what is measured, each with how: "one:PATH" the folder or file,
# "each:PATH" each entry of the folder, "logs:PATH" of each entry what an engine keeps of output.
# Prints lines of words: "fs NUMBER TOTAL USED FREE MOUNT" and "size NUMBER KIB NAME", where NUMBER counts
# what is measured from 0, sizes are KiB ("-" when the time is over), and NAME is "." for the folder
# itself, "?" for entries whose name is not plain.
# Exit code: 0, also when a folder is not there.
exec </dev/null
export LC_ALL=C
end=$(($(date +%s) + $1)); shift
lower=
command -v nice >/dev/null && lower="nice -n 19"

# Prints the size of all that is named.
measure() {
  left=$((end - $(date +%s)))
  sum=
  # shellcheck disable=SC2086
  [ "$left" -le 0 ] || sum=$(timeout -k 2 "$left" $lower du -skxc -- "$@" 2>/dev/null | sed -n 's/^\([0-9]*\)[[:space:]]total$/\1/p')
  printf '%s' "${sum:--}"
}

print_name() {
  case $1 in
  '' | '.'* | *[!A-Za-z0-9_.-]*) printf '?\n' ;;
  *) printf '%s\n' "$1" ;;
  esac
}

number=-1
for what; do
  number=$((number + 1))
  how=${what%%:*} path=${what#*:}
  [ -e "$path" ] || continue
  [ ! -L "$path" ] || continue
  df -Pk -- "$path" 2>/dev/null | sed -n "2s|^.*[[:space:]]\([0-9][0-9]*\)[[:space:]][[:space:]]*\([0-9][0-9]*\)[[:space:]][[:space:]]*\([0-9][0-9]*\)[[:space:]][[:space:]]*[0-9-]*%\{0,1\}[[:space:]][[:space:]]*\(/.*\)\$|fs $number \1 \2 \3 \4|p"
  case $how in
  one) echo "size $number $(measure "$path") ." ;;
  logs)
    for entry in "$path"/*; do
      [ -d "$entry" ] || continue
      [ ! -L "$entry" ] || continue
      set --
      for log in "$entry"/*-json.log* "$entry"/local-logs; do
        [ ! -e "$log" ] || set -- "$@" "$log"
      done
      [ $# -gt 0 ] || continue
      echo "size $number $(measure "$@") $(print_name "${entry##*/}")"
    done
    ;;
  each)
    device=$(stat -c %d -- "$path")
    for entry in "$path"/*; do
      [ -e "$entry" ] || continue
      [ ! -L "$entry" ] || continue
      [ "$(stat -c %d -- "$entry" 2>/dev/null)" = "$device" ] || continue
      echo "size $number $(measure "$entry") $(print_name "${entry##*/}")"
    done
    ;;
  esac
done
:
