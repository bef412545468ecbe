# shellcheck shell=sh
# Takes back what change_sshd.sh did. lib_tentative_files.sh stands before it.
# $1 file of the settings.
# Exit code: systemctl's.
as_before "$1"
[ -s "$1" ] || rm -f "$1"
systemctl try-reload-or-restart ssh.service
