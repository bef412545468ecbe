#!/bin/sh
# A backup through matou beside plain restic: the same data, the same node, a new repository each
# time, by turns. Prints the lines of docs/performance.md. As root; it makes a practice fleet of one.
# backup-speed.sh [MATOU] [MEGABYTES] [FILES] [TURNS]
set -eu

matou=${1:-target/release/matou} megabytes=${2:-3000} files=${3:-20000} turns=${4:-3}
name=bakspeed
state=${XDG_STATE_HOME:-$HOME/.local/state}/matou/lab/$name
clean_up() { "$matou" lab down --name "$name"; }
trap clean_up EXIT
trap 'exit 130' INT TERM

"$matou" lab up --name "$name" --nodes 1 --shared >/dev/null
node() { "$matou" lab ssh --name "$name" n1 -- sh -ec "$1"; }
mkdir -p "$state/stacks"
cat >"$state/stacks/store.yml" <<'YML'
version: "3.8"
services:
  web:
    image: matou/hello:1.0
    volumes:
      - files:/files
volumes:
  files:
YML
(umask 077 && echo practice >"$state/restic-password")
printf '\n[backup]\nrepository = "/srv/restic"\npassword_file = "restic-password"\n' >>"$state/config.toml"
config=$state/config.toml
"$matou" --config "$config" deploy store store --yes >/dev/null
size=$((megabytes * 1048576 / files))
node "cd /mnt/data/store_files; i=0
while [ \$i -lt $files ]; do d=d\$((i / 200)); [ -d \$d ] || mkdir \$d; head -c $size /dev/urandom >\$d/f\$i; i=\$((i + 1)); done; sync"

now() { date +%s.%N; }
fresh() { node "rm -rf /srv/restic /var/cache/matou/restic; sync; echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || :"; }
plain() {
    fresh
    node "RESTIC_PASSWORD=practice restic -r /srv/restic init -q"
    begun=$(now)
    node "RESTIC_PASSWORD=practice RESTIC_CACHE_DIR=/var/cache/matou/restic nice -n 10 restic -r /srv/restic backup -q --host $name --tag app=store /mnt/data/store_files" >/dev/null
    echo "$(now) $begun" | awk '{ printf "%.2f\n", $1 - $2 }'
}
through() {
    fresh
    "$matou" --config "$config" repo init --yes >/dev/null
    begun=$(now)
    "$matou" --config "$config" backup store >/dev/null
    echo "$(now) $begun" | awk '{ printf "%.2f\n", $1 - $2 }'
}

plain >/dev/null
i=0
: >"$state/plain"; : >"$state/through"
while [ "$i" -lt "$turns" ]; do
    plain >>"$state/plain"
    through >>"$state/through"
    i=$((i + 1))
done
median() { sort -n "$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
p=$(median "$state/plain") t=$(median "$state/through")
echo "$p $t $megabytes $files $turns" | awk '{
    printf "| first backup, %d MB in %d files, median of %d | plain restic %.1f s | through matou %.1f s | %+.1f %% |\n", $3, $4, $5, $1, $2, ($2 - $1) * 100 / $1 }'
echo "plain: $(tr '\n' ' ' <"$state/plain") through matou: $(tr '\n' ' ' <"$state/through")" >&2
