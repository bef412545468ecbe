# shellcheck shell=sh
# Prints what there is of an application in matou's folder, and where Docker keeps volumes; an
# application's name has no dot, so what begins with NAME. is its own. They are removed in this order:
# the state of a restore before its folder, so that no undo puts half of that in use.
# $1 matou's folder, $2 application; the rest are more paths to look for.
# Exit code: 0.
d=$1 app=$2; shift 2
root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null) || root=
set -- "$@" "$d/secrets/$app" "$d/dumps/$app" "$d/dumps/$app.new" "$d/dumps/$app".* "$d/restores/$app" "$d/restores/$app".* "$d/restores/$app"~* \
    "$d/updates/$app".* "$d/proofs/$app" "$d/proofs/$app".* "$d/secrets/$app".* "$d/volumes/$app"
[ -z "$root" ] || set -- "$@" "$root/matou-restores/$app" "$root/matou-restores/$app".* "$root/matou-restores/$app"~*
for p; do [ ! -e "$p" ] && [ ! -L "$p" ] || printf '%s\n' "$p"; done | sort -ru
