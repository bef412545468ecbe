# shellcheck shell=sh
# Makes the root file system of the image "hello" of busybox, as an archive. The program that it starts
# comes on standard input.
# $1 folder, $2 version: makes $1/$2.tar.
# Exit code: not 0 when something failed.
set -e
r="$1/$2"
mkdir -p "$r/bin" "$r/www" "$r/tmp" "$r/etc"
chmod 1777 "$r/tmp"
cp "$(command -v busybox)" "$r/bin/busybox"
for a in $("$r/bin/busybox" --list); do [ "$a" = busybox ] || ln -sf busybox "$r/bin/$a"; done
echo "$2" >"$r/version"
echo ok >"$r/www/health"
echo "<h1>hello $2</h1>" >"$r/www/index.html"
printf 'root:x:0:0:root:/:/bin/sh\n' >"$r/etc/passwd"
cat >"$r/start"
chmod 755 "$r/start"
tar -C "$r" -cf "$1/$2.tar" .
