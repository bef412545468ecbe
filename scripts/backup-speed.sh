#!/bin/sh
# Backups and restores through matou beside plain restic: the same data, the same node, by turns; a
# new repository for each backup. Prints the lines of docs/performance.md. As root; it makes a
# practice fleet of one. It needs five times the room of the data.
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
fresh_cache() { node "sync; echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || :"; }
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

# What restic alone writes beside the data.
plain_restore() {
    fresh_cache
    begun=$(now)
    node "RESTIC_PASSWORD=practice RESTIC_CACHE_DIR=/var/cache/matou/restic nice -n 10 restic -r /srv/restic restore -q latest --tag app=store --target /mnt/data/.plain --include /mnt/data/store_files" >/dev/null
    echo "$(now) $begun" | awk '{ printf "%.2f\n", $1 - $2 }'
    node "rm -rf /mnt/data/.plain"
}
# What an operator does by hand for the same end: restic beside the data, the service stopped, folders
# exchanged, the service started.
by_hand() {
    fresh_cache
    begun=$(now)
    node "RESTIC_PASSWORD=practice RESTIC_CACHE_DIR=/var/cache/matou/restic nice -n 10 restic -r /srv/restic restore -q latest --tag app=store --target /mnt/data/.plain --include /mnt/data/store_files
        docker service scale -d store_web=0
        while [ -n \"\$(docker ps -q --filter label=com.docker.swarm.service.name=store_web)\" ]; do sleep 0.2; done
        mv /mnt/data/store_files /mnt/data/.before
        mv /mnt/data/.plain/mnt/data/store_files /mnt/data/store_files
        docker service scale store_web=1" >/dev/null
    echo "$(now) $begun" | awk '{ printf "%.2f\n", $1 - $2 }'
    node "rm -rf /mnt/data/.plain /mnt/data/.before"
}
# The whole; into $1 the seconds of its step in which restic writes, and the files are counted.
through_restore() {
    fresh_cache
    begun=$(now)
    "$matou" --config "$config" restore store --yes --json >"$state/events"
    echo "$(now) $begun" | awk '{ printf "%.2f\n", $1 - $2 }'
    sed -n 's/.*"event":"step_done".*"step":"snapshot".*"took":\([0-9]*\).*/\1/p' "$state/events" | awk '{ printf "%.2f\n", $1 / 1000 }' >>"$1"
    "$matou" --config "$config" restore forget store --yes >/dev/null
}

plain >/dev/null
for f in plain through plain_restore by_hand through_restore staged; do : >"$state/$f"; done
# Each comes after the other or after itself, and after nothing else: in turn with restores, runs of
# the same differed by a fifth.
i=0
while [ "$i" -lt "$turns" ]; do
    [ $((i % 2)) = 1 ] || plain >>"$state/plain"
    through >>"$state/through"
    [ $((i % 2)) = 0 ] || plain >>"$state/plain"
    i=$((i + 1))
done
# What is restored is matou's.
through >/dev/null
i=0
while [ "$i" -lt "$turns" ]; do
    plain_restore >>"$state/plain_restore"
    by_hand >>"$state/by_hand"
    through_restore "$state/staged" >>"$state/through_restore"
    i=$((i + 1))
done
median() { sort -n "$state/$1" | awk '{ a[NR] = $1 } END { print (a[int((NR + 1) / 2)] + a[int(NR / 2) + 1]) / 2 }'; }
line() {
    echo "$2 $3" | awk -v what="$1, $megabytes MB in $files files, median of $turns" '{
        printf "| %s | %.1f s | %.1f s | %+.1f %% |\n", what, $1, $2, ($2 - $1) * 100 / $1 }'
}
line "first backup" "$(median plain)" "$(median through)"
line "restore, what restic does in it" "$(median plain_restore)" "$(median staged)"
line "restore, the whole, beside the same by hand" "$(median by_hand)" "$(median through_restore)"
for f in plain through plain_restore staged by_hand through_restore; do echo "$f: $(tr '\n' ' ' <"$state/$f")" >&2; done
echo "load: $(cut -d ' ' -f 1-3 /proc/loadavg)" >&2
