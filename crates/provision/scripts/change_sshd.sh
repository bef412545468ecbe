# shellcheck shell=sh
# Has sshd read new settings, after a test. restore_sshd.sh takes it back, keep_sshd.sh makes it last.
# lib_tentative_files.sh stands before it.
# $1 file of the settings (the new ones are in $1.new).
# Exit code: not 0 when they are not valid.
set -e
for_now "$1.new" "$1" ''
sshd -t
systemctl try-reload-or-restart ssh.service
