# shellcheck shell=sh
# Root follows no link below the folder, opens no device there and runs nothing: the kernel refuses
# (MS_NOSYMFOLLOW, Linux 5.10), whoever exchanges what meanwhile.
where() { sed -n 's/^mnt_id:[[:space:]]*//p' /proc/self/fdinfo/0 <"$1"; }
options() { sed -n "s/^$(where "$1") [^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .*/\1/p" /proc/self/mountinfo; }
closed() { case ,$(options "$1"), in *,nosymfollow,*) ;; *) return 1 ;; esac; }
close() {
    [ "$(where "$1")" ] || { echo "what is mounted at $1 can't be looked at (a dead mount?), so nothing is done in the data of applications: mend it, or unmount it" >&2; exit 1; }
    old=$(options "$1")
    mount --options-source disable -o "remount,bind,$old,nosymfollow,nodev,nosuid,noexec" -- "$1" 2>/dev/null || :
    closed "$1" && return
    # mount knows the word since util-linux 2.38; 4398: the same, as mount(2) has it.
    case $(uname -m) in x86_64) call=165 ;; aarch64|riscv64) call=40 ;; *) call=21 ;; esac
    case $old in ro*) flags=4399 ;; *) flags=4398 ;; esac
    perl -e '($c, $d, $f) = @ARGV; $n = "none"; syscall($c + 0, $n, $d, $n, $f + 0, 0)' "$call" "$1" "$flags" 2>/dev/null || :
    closed "$1" || { echo "this server can't keep root from following links in $1, which an application could have made, so nothing is done there: Linux 5.10 or newer is needed (Debian 11, Ubuntu 22.04), with perl or util-linux 2.38" >&2; exit 1; }
}
[ "$(readlink /proc/self/ns/mnt)" != "$(readlink /proc/1/ns/mnt)" ] || { echo "no mount namespace of its own could be made: nothing is done in the data of applications" >&2; exit 1; }
mount --make-rprivate / || exit 1
for folder; do
    # Where there is nothing, nothing is below it. The operator's own link to it is followed here, once.
    folder=$(readlink -e -- "$folder") || continue
    all=$(cat /proc/self/mountinfo)
    mount --rbind -- "$folder" "$folder" || exit 1
    close "$folder"
    while read -r _ _ _ _ at rest; do
        case $at in *\\*) at=$(printf %b "$at") ;; esac
        # What an engine mounts for its containers is no data of theirs.
        case ${rest##*- } in overlay\ *|nfs*|nsfs\ *) continue ;; esac
        case $at in "$folder"/*) close "$at" ;; esac
    done <<END
$all
END
done
