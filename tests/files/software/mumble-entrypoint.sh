#!/bin/bash
# What the published image of Mumble's server does before its command: settings of MUMBLE_CONFIG_… into a file, by
# the names of mumble-server.ini without case and underscores, SuperUser's password, then another user.
set -e
config=/data/mumble_server_config.ini
declare -A option_for
while read -r name; do
    upper=${name^^}
    option_for[${upper//_/}]=$name
done < <(sed -En 's/^(;|#)? *([a-zA-Z_0-9]+)=.*/\2/p' /etc/mumble/bare_config.ini)
echo "# of the environment" >$config
set_option() {
    local upper=${1^^}
    local option=${option_for[${upper//_/}]}
    if [ -z "$option" ]; then
        echo "[ERROR]: Unable to find config corresponding to \"$1\"" >&2
        exit 1
    fi
    echo "$option=$2" >>$config
}
while IFS='=' read -r -d '' name value; do
    set_option "$name" "$value"
done < <(printenv --null | sed -zn 's/^MUMBLE_CONFIG_//p')
for file in /run/secrets/MUMBLE_CONFIG_*; do
    [ ! -e "$file" ] || set_option "${file##*/MUMBLE_CONFIG_}" "$(cat "$file")"
done
echo "database=/data/mumble-server.sqlite" >>$config
grep -q ^port= $config || echo port=64738 >>$config
grep -q ^users= $config || echo users=100 >>$config
set -- "$@" -fg -ini $config
if [ -f /run/secrets/MUMBLE_SUPERUSER_PASSWORD ]; then
    "$@" -supw "$(cat /run/secrets/MUMBLE_SUPERUSER_PASSWORD)"
fi
chown -R 10000:10000 /data
exec su-exec 10000:10000 "$@"
