# shellcheck shell=sh
# Prints what is known of the limit of an application's folders, a line each: "fs TYPE OPTIONS SOURCE MOUNT" of the
# file system of the first folder that is there; "tools" when setquota and repquota are there; "project ID" of the
# application, when it has one; "limit KIB" of that project; "folder ID INHERIT PATH" of each folder that is there:
# its project, and whether what is made in it gets that too (P or -).
# $1 name of the project; the others folders.
# Exit code: 0.
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
name=$1; shift
mount=
for folder; do
  [ -d "$folder" ] || continue
  [ -n "$mount" ] || {
    # As it is: a raw list (-r) has \x20 for a space, which keeps the other columns apart.
    mount=$(findmnt -nlu -o TARGET -T "$folder")
    printf 'fs %s %s\n' "$(findmnt -nr -o FSTYPE,OPTIONS,SOURCE -T "$folder")" "$mount"
  }
  lsattr -pd -- "$folder" 2>/dev/null | while read -r project flags _; do
    case $flags in *P*) inherit=P ;; *) inherit=- ;; esac
    printf 'folder %s %s %s\n' "$project" "$inherit" "$folder"
  done
done
if command -v setquota >/dev/null && command -v repquota >/dev/null; then echo tools; fi
id=$(sed -n "s/^$name:\([0-9]*\)\$/\1/p" /etc/projid 2>/dev/null | head -n 1)
[ -n "$id" ] || exit 0
echo "project $id"
[ -n "$mount" ] || exit 0
repquota -Pn "$mount" 2>/dev/null | awk -v id="#$id" '$1 == id { print "limit", $5 }'
:
