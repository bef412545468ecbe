# shellcheck shell=sh
# Compares a volume's copy with the list of its files that came (receive_list.sh): removes from the copy
# what the volume has no more, and writes down what is to be sent.
# $1 the folder of the copy.
# Prints four numbers: files to send, their bytes, bytes that are free, inodes that are free.
# Exit code: not 0 when the copy can't be read or written.
umask 077
cd -- "$1" || exit
named() { cut -z -d ' ' -f 1,11- -- "$1" | sort -z; }
sort -z -o new -- new && named new >wanted || exit
[ -f list ] || : >list
find data -mindepth 1 -printf '%y ./%P\0' >there && printf 'd .\0' >>there && sort -z -o there -- there || exit
# What the list has and somebody took away: then the list is good for nothing, and all is sent.
named list >listed && comm -z -12 listed wanted >kept || exit
[ "$(comm -z -23 kept there | head -c 1 | wc -c)" = 0 ] || : >list
comm -z -13 wanted there | sed -z 's/^. //' >gone || exit
(cd data && xargs -0 -r rm -rf --) <gone || exit
comm -z -13 list new >send || exit
rm -f -- wanted there listed kept gone
count=$(tr -dc '\0' <send | wc -c)
bytes=$(cut -z -d ' ' -f 2 -- send | tr '\0' '\n' | awk '{ s += $1 } END { printf "%.0f", s * 512 }') || exit
echo "$count $bytes $(df -B1 --output=avail,iavail -- data | tail -n 1)"
