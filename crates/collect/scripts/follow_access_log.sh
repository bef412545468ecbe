# shellcheck shell=sh
# Prints the end of the edge's access log, then what comes; only lines that hold one of the given texts,
# without the fields that matou does not use.
# $1 the log, $2 how many lines at most, $3 how many bytes are looked through, $4 "1" to go on with what
# comes; the rest are options of grep, with the texts.
# Exit code: 1 when there is no log. What follows ends when nobody reads it any more.
f=$1 n=$2 past=$3 follow=$4; shift 4
size=$(stat -c %s -- "$f") || exit 1
short='s/"(ClientAddr|ClientPort|DownstreamContentSize|GzipRatio|Origin[A-Za-z]+|Overhead|Request(Addr|ContentSize|Count|Port|Protocol|Scheme)|RetryAttempts|Service[A-Za-z]+|StartLocal|TLS[A-Za-z]+|entryPointName|level|msg)":("[^"\\]*"|[0-9.]+),//g'
head -c "$size" -- "$f" | tail -c "$past" | grep -aiF "$@" | tail -n "$n" | sed -E "$short"
[ "$follow" = 1 ] || exit 0
(trap '' PIPE; while sleep 30 >/dev/null 2>&1 && echo 2>/dev/null; do :; done; kill 0) &
beat=$!
tail -c "+$((size + 1))" -F -- "$f" 2>/dev/null | grep -aiF --line-buffered "$@" | sed -uE "$short"
kill $beat
