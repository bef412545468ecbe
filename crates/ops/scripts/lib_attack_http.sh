# shellcheck shell=sh
# restic's REST protocol, and S3. Standard input: address, the bucket's address, the prefix in it,
# then curl's own settings with the credentials: nothing of it is on a command line.
# lib_attack_place.sh makes $d; a line before it sets $writes.
# shellcheck disable=SC2154
c=$(cat)
line() { printf '%s\n' "$c" | sed -n "$1p"; }
base=$(line 1) bucket=$(line 2) prefix=$(line 3) more=$(printf '%s\n' "$c" | sed 1,3d)
lives=''
command -v curl >/dev/null || { echo "unread curl is not installed"; exit 0; }
ask() { # METHOD ADDRESS SETTING OUT
    code=$(printf '%s\n' "$more" "url = \"$2\"" "request = \"$1\"" "$3" |
        curl -sS -K - --max-time 30 -o "$4" -w '%{http_code}' 2>"$d/err") || code=000
    said=$code
    [ "$code" != 000 ] || said=$(tail -n 1 "$d/err")
}
get() { ask GET "$base$1" '' "$2"; [ "$code" = 200 ]; }
put() {
    case $writes in
    POST) ask POST "$base$1" "data-binary = \"@$2\"" /dev/null ;;
    # A bucket with object lock wants the sum of what it gets.
    *) ask PUT "$base$1" "upload-file = \"$2\"
header = \"Content-MD5: $(md5 "$2")\"" /dev/null ;;
    esac
}
md5() {
    # shellcheck disable=SC2046,SC2059
    printf "$(printf '\\%03o' $(md5sum <"$1" | cut -c 1-32 | sed 's/../0x& /g'))" | base64
}
del() { ask DELETE "$base$1" '' /dev/null; }
there() {
    ask GET "$base$1" '' /dev/null
    case $code in 200) return 0 ;; 404) return 1 ;; *) return 2 ;; esac
}
# What a bucket with versions still has of a deleted file, and can't be made to let go.
kept() {
    [ "$bucket" ] || return 1
    ask GET "$bucket?prefix=$prefix$1&versions=" '' "$d/list"
    versions=$(sed 's/<DeleteMarker>/\n&/g; s/<Version>/\n&/g' "$d/list" |
        sed -n 's/^<Version>.*<VersionId>\([^<]*\)<.*/\1/p')
    held=1
    lives=''
    for v in $versions; do
        [ "$v" != null ] || continue
        ask DELETE "$base$1?versionId=$v" 'header = "x-amz-bypass-governance-retention: true"' /dev/null
        [ "$code" != 403 ] || { held=0; lives=1; }
    done
    return $held
}
# A name that nothing has: an answer that it is not there is one that it would have gone.
probes() {
    # A bucket that keeps versions only hides what is deleted.
    [ -z "$lives" ] || return 0
    for what in data index keys locks; do
        del "$what/$1"
        case $code in
        200 | 204 | 404) echo "probe $what could" ;;
        401 | 403 | 405) echo "probe $what refused $code" ;;
        *) echo "probe $what unclear $said" ;;
        esac
    done
}
