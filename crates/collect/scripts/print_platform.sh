# shellcheck shell=sh
# Prints what the node runs, as lines KEY TAB VALUE: "os", "kernel", "architecture", "restic", "sudo", "coreutils".
# What is not there has no line.
# Exit code: 0.
exec </dev/null
say() { [ -z "$2" ] || printf '%s\t%s\n' "$1" "$2"; }
# shellcheck disable=SC1091 # it is the node's
say os "$(. /etc/os-release 2>/dev/null && printf '%s' "$PRETTY_NAME")"
say kernel "$(uname -r)"
say architecture "$(uname -m)"
say restic "$(restic version 2>/dev/null | head -n 1)"
say sudo "$(sudo -V 2>/dev/null | head -n 1)"
# Only its version is asked for.
# shellcheck disable=SC2012
say coreutils "$(ls --version 2>/dev/null | head -n 1)"
exit 0
