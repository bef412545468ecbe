# shellcheck shell=sh
# Prints a line of JSON for each service: its name and its mounts.
# No arguments.
# Exit code: docker's.
ids=$(docker service ls -q) || exit
# Ids are words of their own.
# shellcheck disable=SC2086
[ -z "$ids" ] || docker service inspect --format '{"name":{{json .Spec.Name}},"mounts":{{json .Spec.TaskTemplate.ContainerSpec.Mounts}}}' -- $ids
