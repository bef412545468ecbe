# shellcheck shell=sh
# Makes the image of a practice fleet's containers: Debian 12, some of whose packages may come from a newer
# suite. The others of that suite are never candidates, so that the result is one that apt and dpkg are
# content with; the node itself knows Debian 12 alone. A Debian mirror may be behind: the age of its index
# is not asked.
# $1 archive to write, $2 packages (with commas), $3 the newer suite and $4 its packages (with spaces);
# both may be empty.
# Exit code: not 0 when something failed.
set -e
# No service starts inside; host keys are made anew for each node. What is in single quotes is for
# mmdebstrap's shell, to which $1 is the root.
# shellcheck disable=SC2016
set -- "$1" "$2" "$3" "$4" \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_*' \
    --customize-hook='install -d -m 1777 "$1"/tmp'
archive=$1 packages=$2 suite=$3 newer=$4
shift 4
if [ -n "$suite" ]; then
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    echo "deb [check-valid-until=no] http://deb.debian.org/debian $suite main" >"$dir/newer.list"
    printf 'Package: *\nPin: release n=%s\nPin-Priority: -1\n\nPackage: %s\nPin: release n=%s\nPin-Priority: 990\n' \
        "$suite" "$newer" "$suite" >"$dir/newer.pref"
    # The last one is for mmdebstrap's shell too.
    # shellcheck disable=SC2016
    set -- "$@" \
        --setup-hook="upload '$dir/newer.list' /etc/apt/sources.list.d/newer.list" \
        --setup-hook="upload '$dir/newer.pref' /etc/apt/preferences.d/newer.pref" \
        --customize-hook='rm "$1"/etc/apt/sources.list.d/newer.list "$1"/etc/apt/preferences.d/newer.pref'
fi
mmdebstrap --quiet --variant=minbase --format=tar --include="$packages" "$@" bookworm "$archive"
