#!/bin/sh
# Tries what matou's scripts ask of coreutils and sudo on nodes with uutils and sudo-rs, which Ubuntu has since 25.10:
# each line below is run in a root of Debian 13 with GNU's programs and with uutils', and must print, leave and end the
# same. Needs root and mmdebstrap. One difference is known and not tried: uutils' sha256sum ends at a file that is not
# there and leaves out those behind it (0.0.30), which compare_files.sh allows for.
# $1 folder of the root; it is made where it is missing, and stays. $2 address of a Debian mirror, else Debian's own.
# Exit code: 0 all are the same, 1 some differ (they are printed), 2 there is no root.
root=${1:?the folder of the root}
if [ ! -d "$root/usr/lib/cargo/bin/coreutils" ]; then
    mmdebstrap --variant=minbase --include=rust-coreutils,sudo-rs,passwd,procps trixie "$root" \
        "${2:-http://deb.debian.org/debian}" >&2 </dev/null || exit 2
fi
gnu=/usr/sbin:/usr/bin:/sbin:/bin
uutils=/usr/lib/cargo/bin/coreutils:$gnu

# What a line finds.
fixture='rm -rf /t; mkdir -p /t/d/sub /t/e; cd /t
printf "one\ntwo\nthree\n" >f; printf "b 2 x\0a 1 y z\0" >z; printf "a 1 y z\0c\0" >z2; ln -s f l; ln -s nothing dead
touch -d @1000000000 f; touch "d/a b" d/.hidden; chmod 640 f; chown 1000:1000 d'

# inside PATH SCRIPT: in the root, with a bounded time. uutils reads /proc and looks for the mount of a path; what
# still runs in the end goes with the namespace.
inside() {
    # shellcheck disable=SC2016 # for the other shell
    timeout -s KILL 20 unshare --mount --pid --fork --kill-child sh -c 'mount --bind "$1" "$1"; exec chroot "$1" sh -c "$2"' \
        sh "$root" "mount -t proc proc /proc; export LC_ALL=C PATH=$1
$2" 2>&1 </dev/null
}

# run PATH LINE: what it prints, its exit code, and what is there after it.
run() {
    inside "$1" "$fixture
( $2 ) >/tmp/out 2>/dev/null; code=\$?
PATH=$gnu; cat /tmp/out; echo \"exit \$code\"
find . -printf '%p %y %m %U:%G %s %n %l\n' | sort"
}

different=0 tried=0
while IFS= read -r line; do
    case $line in ''|'#'*) continue ;; esac
    tried=$((tried + 1))
    if [ "$(run "$gnu" "$line")" != "$(run "$uutils" "$line")" ]; then
        different=$((different + 1))
        printf 'different: %s\n  GNU:\n' "$line"
        run "$gnu" "$line" | sed 's/^/    /'
        echo '  uutils:'
        run "$uutils" "$line" | sed 's/^/    /'
    fi
done <<'LINES'
stat -c %s -- f
stat -L -c %Y -- l
stat -L -c '%a %n' -- f d/* nothing
stat -c '%s %Y' -- f
stat -c %h -- f
stat -c %h -- nothing
head -c 5 -- f | tail -c 2
head -n -2 f
tail -n 1 f
tail -n +2 f
tail -c +3 f
tail -c 65536 f
(sleep 1; echo four >>f) & timeout 3 tail -c +1 -F -- f
sleep 2 & p=$!; (sleep 1; echo four >>f) & tail -c +1 -s 0.05 -f --pid="$p" f
wc -c <f
tr -cd '\0' <z | wc -c
printf ' a\n b ' | tr -d '[:space:]'
printf 'a/b' | tr / _
date +%z
[ "$(date +%s)" -gt 1700000000 ]
date -u +%FT%TZ | cut -c1-2
mkdir -p -m 700 -- n/m
mkdir -m 750 n
mkdir e
rmdir d
chmod 600 -- f e
chmod --reference=f -- e
chown --reference=d -- f
chown -R 5:6 d
cp -p -- f f.before
cp -p f n
cp -pn -t d -- f l
cp -pn -t e -- f; echo more >>f; cp -pn -t e -- f
cp -P --remove-destination -T -- l f
cp -pP --remove-destination -T -- f l
cp -P --remove-destination -T -- f e
mv -f -- f g
mv -f -T -- f l
mv -f -T -- f e
mv -T -- d e
mv -T -- d n
mv -T -- e d
mv -T -- f d
mv f d
ln -sfn -- job-1 l
ln -sfn -- job-1 n
ln -sfn -- job-1 dead
ln -T -- f n
ln -T -- f l
ln -T -- nothing n
ln -sf f n
readlink -- l
readlink -- f
readlink -e -- l
readlink -e -- dead
readlink -f dead
readlink --canonicalize-missing -- l dead /t/no/thing
realpath -e -- l
realpath -e -- dead
rm -f -- f nothing
rm -rf -- d
rm -rf --one-file-system -- d
rm -- nothing
rm -f -- e
touch -c -- nothing f
mktemp f.XXXXXX | cut -c1-2; rm -f f.*
mktemp -d /t/e/x.XXXXXX | cut -c1-6; rm -rf e/*
mktemp ./.tmp-XXXXXX | cut -c1-7; rm -f .tmp-*
mktemp no/such.XXXXXX
sync -- f
sync -- d
sync f d
sync -- nothing
truncate -s 5 -- f
truncate -s 5 -- n
printf new | dd of=f conv=notrunc status=none
dd bs=1M iflag=nonblock,nofollow status=none if=f
dd bs=1M iflag=nonblock,nofollow status=none if=l
install -d -m 700 -o 5 -g 6 n/m
install -m 600 -o 5 -g 6 /dev/null n
install -D -m 755 f n/m/o
install -D f n/m/o
install -m 644 f l
sort -z z z2
sort -z z -o z
sort -u f f
sort -r f
sort -n f
comm -z -12 z2 z2
comm -z -23 z z2
cut -z -d' ' -f1 <z
cut -z -d' ' -f3- <z
cut -z -c2- <z
cut -c 1-3 <f
cut -d' ' -f1 <f
sha256sum f
sha256sum <f
sha256sum -z -- f 'd/a b'
sha256sum -- nothing
printf '%s  f\n' "$(sha256sum <f | cut -d' ' -f1)" | sha256sum --quiet -c
printf '%s  f\n' "$(sha256sum <f | cut -d' ' -f1)" | sha256sum --strict -c
printf '%064d  f\n' 0 | sha256sum --quiet -c
md5sum <f | cut -c 1-32
base64 <f
base64 <f | base64 -d
ls -A -- d | head -n 1
ls -A -- nothing
ls -1
ls -1 d
df -P -k / | tail -n 1 | awk '{ print NF, $6 }'
df -P -k -l -t ext2 -t ext4 2>/dev/null | head -n 1
df --block-size=1 --output=avail / | head -n 1
df --block-size=1 --output=avail,target / /t | awk '{ print NF, $2 }'
df -B1 --output=used -- /t | head -n 1 | tr -d ' '
df --block-size=1 --output=target,size,avail -x tmpfs -x overlay | head -n 1 | awk '{ print NF, $1, $NF }'
timeout 1 sleep 5
timeout 5 sh -c 'exit 7'
timeout --foreground 1 head -c 1 <f
timeout --foreground 1 sleep 5
timeout 1 sh -c 'trap "" TERM; sleep 2; echo on'
uname -m
id -gn root
id -u
id nobody >/dev/null
basename /a/b
dirname -- /a/b
env LC_ALL=C sh -c 'echo "$LC_ALL"'
env -u LC_ALL sh -c 'echo "${LC_ALL-none}"'
env A=1 -- sh -c 'echo "$A"'
nice -n 5 nice
seq 3
printf 'a\0b' | tr '\0' '\n'
yes | head -n 2
od -An -tx1 <f
tee n <f
cat -- f l
LINES

expect() { # expect WANTED GOT WHAT
    tried=$((tried + 1))
    [ "$1" = "$2" ] || { different=$((different + 1)); printf '%s:\n  wanted %s\n  got    %s\n' "$3" "$1" "$2"; }
}

# compare_files.sh, when a file goes away while it reads: of five one differs, and no other.
cp "$(dirname "$0")/../crates/ops/scripts/compare_files.sh" "$root/tmp/"
# shellcheck disable=SC2016 # for the other shell
compared='rm -rf /q; mkdir -p /q/new /q/live /q/programs; for i in 1 2 3 4 5; do echo $i >/q/new/f$i; cp -p /q/new/f$i /q/live/; done
echo 6 >/q/live/f5; touch -r /q/new/f5 /q/live/f5
echo "#!/bin/sh
case \$PWD in */live) rm -f f2 ;; esac; PATH=$PATH exec sha256sum \"\$@\"" >/q/programs/sha256sum
chmod 755 /q/programs/sha256sum; PATH=/q/programs:$PATH; sh /tmp/compare_files.sh /q/work /q/new /q/live 2>/dev/null'
for path in "$gnu" "$uutils"; do
    expect '5 10 3 2
/q/live/./f5' "$(inside "$path" "$compared")" "compare_files.sh with $path"
done

# sudo, as an operator's account has it and as it has not: an argument that stays one, an exit code, a refusal that
# matou knows (`explain_sudo` of crates/host).
chroot "$root" sh -c '
id ops >/dev/null 2>&1 || useradd -m ops
id other >/dev/null 2>&1 || useradd -m other
mkdir -p /etc/sudoers.d; echo "ops ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/ops; chmod 440 /etc/sudoers.d/ops
grep -q includedir /etc/sudoers-rs 2>/dev/null || { echo "root ALL=(ALL:ALL) ALL"; echo "other ALL=(ALL) ALL"; echo "@includedir /etc/sudoers.d"; } >/etc/sudoers-rs
chmod 440 /etc/sudoers-rs'
sudo_as() { user=$1; shift; chroot --userspec="$user:$user" "$root" env -i PATH="/usr/lib/cargo/bin:$gnu" "$@" 2>&1; }
# shellcheck disable=SC2016 # for the other shell
expect '0 a  b$x C' "$(sudo_as ops sudo -n -- env LC_ALL=C sh -c 'echo "$(id -u) $1 $LC_ALL"' sh 'a  b$x')" 'an argument'
expect 7 "$(sudo_as ops sudo -n -- sh -c 'exit 7'; echo $?)" 'an exit code'
expect in "$(echo in | sudo_as ops sudo -n -- cat)" 'its input'
# Debian's says sudo-rs, Ubuntu's sudo.
expect 'sudo: interactive authentication is required' "$(sudo_as other sudo -n -- true | sed 's/^sudo-rs:/sudo:/')" 'a refusal'
echo "$tried tried, $different different"
[ "$different" = 0 ]
