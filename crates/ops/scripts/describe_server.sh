# shellcheck shell=sh
# Says what a server is, for a first config.toml, one NAME=VALUE a line; changes nothing, and needs no rights.
# system: the release; host: its name; root: yes, sudo or no; engine: Docker's version, empty without;
# swarm: manager, worker or empty; peers: names of the swarm's nodes, as a manager tells them.
system=$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null | tr -d '"')
printf 'system=%s\nhost=%s\n' "$system" "$(uname -n)"
root=no
sudo=
if [ "$(id -u)" = 0 ]; then
    root=yes
elif sudo -n true 2>/dev/null; then
    root=sudo
    sudo='sudo -n'
fi
printf 'root=%s\n' "$root"
form='engine={{.ServerVersion}}
swarm={{if eq (print .Swarm.LocalNodeState) "active"}}{{if .Swarm.ControlAvailable}}manager{{else}}worker{{end}}{{end}}'
$sudo docker info --format "$form" 2>/dev/null || exit 0
printf 'peers=%s\n' "$($sudo docker node ls --format '{{.Hostname}}' 2>/dev/null | tr '\n' ' ')"
