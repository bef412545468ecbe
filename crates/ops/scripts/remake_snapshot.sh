# shellcheck shell=sh
# Makes a snapshot anew without an application. The body of a unit: $limits, the functions credentials
# and restic stand before it.
# $1 id, $2 time, $3 host, $4 folder for the files meanwhile, $5 application, $6 number of tags; then the
# tags and the snapshot's paths.
# Exit code: restic's; 1 when the folder could not be made or a tag is odd.
# The folders above it are there, or may be open.
# shellcheck disable=SC2174
id=$1 time=$2 host=$3 stage=$4 app=$5 n=$6; shift 6
rm -rf -- "$stage"; mkdir -p -m 700 -- "$stage" || exit 1
tags=; i=0
while [ $i -lt "$n" ]; do case $1 in *[!a-zA-Z0-9=_.-]*) echo "an odd tag" >&2; exit 1 ;; esac; tags="$tags --tag $1"; shift; i=$((i + 1)); done
restic restore --target "$stage" "$id" >&2 || exit
for p; do
    [ -d "$stage$p" ] || continue
    rm -rf -- "${stage:?}$p/${app:?}" "$stage$p/apps/$app.toml" "$stage$p/stacks/app-$app.yml"
done
# What is in single quotes is for another shell.
# shellcheck disable=SC2016
inside='set -e; stage=$1 time=$2 host=$3 tags=$4; shift 4
for p; do
    [ -d "$p" ] || { echo "$p is not there any more" >&2; exit 1; }
    mkdir -p -- "$stage$p"; mount --bind -- "$stage$p" "$p"
done
TZ=UTC exec restic backup $limits --time "$time" --host "$host" $tags -- "$@"'
export limits
(credentials; exec unshare -m sh -c "$inside" sh "$stage" "$time" "$host" "$tags" "$@") >&2; c=$?
rm -rf -- "$stage"; exit $c
