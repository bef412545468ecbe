# shellcheck shell=sh
# Prints kind and name of the swarm's secrets and configs of an application.
# $1 application.
# Exit code: 0.
for kind in secret config; do
    for label in org.matou.app com.docker.stack.namespace; do
        docker $kind ls --filter "label=$label=$1" --format "$kind {{.Name}}" || exit 1
    done
done | sort -u
