# shellcheck shell=sh
# Prints by which version of cgroups memory is accounted: "v1", "v2", or nothing. A part of the facts.
# No arguments.
# Exit code: 0.
read -r has </sys/fs/cgroup/cgroup.controllers && case " $has " in *' memory '*) echo v2; exit;; esac
while read -r name _ _ on; do [ "$name $on" = 'memory 1' ] && echo v1; done </proc/cgroups; :
