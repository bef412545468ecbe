# shellcheck shell=sh
# Prints a line of JSON for each container that runs: name, service, mounts. One that has just gone is
# none.
# No arguments.
# Exit code: docker's.
ids=$(docker ps -q --no-trunc) || exit
for id in $ids; do
    docker inspect --format '{"name":{{json .Name}},"service":{{json (index .Config.Labels "com.docker.swarm.service.name")}},"mounts":{{json .Mounts}}}' -- "$id" 2>/dev/null || :
done
