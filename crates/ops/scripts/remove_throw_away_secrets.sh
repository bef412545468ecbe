# shellcheck shell=sh
# Removes the secrets and configs of an application that was for a try. $1 its name.
# Exit code: 1 where the engine does not say which there are, or does not remove one.
for kind in secret config; do
    ids=$(docker "$kind" ls -q --filter "label=org.matou.app=$1") || exit 1
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker "$kind" rm $ids >/dev/null || exit 1
done
