# shellcheck shell=sh
# Function for scripts that read or write what containers change meanwhile; stands before them.
# judge TEXT CODE...: ends the script. TEXT is what a command said that is no matter of a change, and as its last
# line "ended" with the command's exit code; where that is missing, what should have kept it has failed. Exit code:
# 0 when the command's was 0, or one of CODE with nothing else said; else 1, and TEXT is told.
judge() {
    left=$1; shift
    case $left in *"ended 0") exit 0 ;; esac
    for code; do [ "$left" != "ended $code" ] || exit 0; done
    printf '%s\n' "${left%ended *}" >&2
    exit 1
}
