# shellcheck shell=sh
# What the units that work on a repository begin with: waits for other jobs of this fleet that work on it.
# SIGINT ends restic, not the shell around it. A line before this one says what $repository, $guard (-s
# shared, -x alone) and $busy are.
# Exit code: $busy when another job works on it for two hours.
# The line before it sets them.
# shellcheck disable=SC2154
trap : INT TERM
exec 9>>"/run/matou/repository-$repository.lock"
flock -n "$guard" 9 || {
    echo 'another job works on this repository: waiting for it'
    flock -w 7200 "$guard" 9 || exit "$busy"
}
