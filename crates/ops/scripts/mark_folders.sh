# shellcheck shell=sh
# Makes all that is in folders a project's, and what is made there later. Run in confined folders: containers
# write there meanwhile. What is gone when its turn comes is passed over. Each folder is marked after what is in
# it, the given one last; then what was made meanwhile.
# $1 number of the project (0: of none); the others folders.
# Exit code: 0 done; 1 something that is there could not be marked, the last line of stderr says what.
export LC_ALL=C
id=$1; shift
inherit=+P
[ "$id" != 0 ] || inherit=-P

mark_files() { find "$folder" -xdev -type f -exec chattr -f -p "$id" -- {} + 2>/dev/null; }
mark_folders() { find "$folder" -xdev -depth -type d -exec chattr -f -p "$id" "$inherit" -- {} + 2>/dev/null; }

# Marks what is there of a type (f, d), and prints what could not be marked.
# $1 the type, $2 what is set beside the project.
mark_strictly() {
  find "$folder" -xdev -type "$1" -exec sh -c '
    id=$1 inherit=$2; shift 2
    chattr -f -p "$id" ${inherit:+"$inherit"} -- "$@" 2>/dev/null && exit
    for entry; do
      # Some are removed and made again all the time.
      for _ in 1 2 3; do
        chattr -f -p "$id" ${inherit:+"$inherit"} -- "$entry" 2>/dev/null && continue 2
        [ -d "$entry" ] || [ -f "$entry" ] || continue 2
      done
      printf "%s could not be marked\n" "$entry"
    done' sh "$id" "$2" {} + 2>&1
}

for folder; do
  [ -d "$folder" ] || continue
  # Into a folder that hands on its project the kernel lets no file of another one be renamed: files come first, and
  # last when there is to be no project.
  if [ "$id" != 0 ]; then mark_files; mark_folders; else mark_folders; mark_files; fi
  # Once more, for what was made meanwhile.
  left=$({ mark_strictly d "$inherit"; mark_strictly f ''; } | sed '/No such file or directory$/d' | sed -n 1p)
  [ -z "$left" ] || { echo "not all that is in $folder could be made the project's: $left" >&2; exit 1; }
done
