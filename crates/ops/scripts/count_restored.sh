# shellcheck shell=sh
# Ends a script that wrote the paths $@ of a snapshot below $stage. Prints "matou: written FILES BYTES",
# and "matou: found COUNT KIND: NAMES" for set-uid files, devices, and links that lead out.
# Exit code: 1 when restic did not write one of the paths.
# $stage is set by what stands before it.
# shellcheck disable=SC2154
for p; do
    [ -e "$stage$p" ] || [ -L "$stage$p" ] || { echo "restic did not write $p" >&2; exit 1; }
    find "$stage$p" -type f -printf '%s\n'
done | awk '/^[0-9]+$/ { f++; b += $1 } END { printf "matou: written %d %.0f\n", f, b }'
for p; do
    find "$stage$p" \( -type f -perm /6000 -o -type b -o -type c -o -type l -lname '/*' \
        -o -type l \( -lname .. -o -lname '../*' -o -lname '*/..' -o -lname '*/../*' \) \) -printf '%y %d %l\n%P\0'
done | tr '\n\0' '\001\n' | LC_ALL=C awk -F '\001' '
    # A link below N folders leads out when its target goes up more than N times.
    function out(depth, to, i, n, parts) {
        if (to ~ /^\//) return 1
        n = split(to, parts, "/")
        for (i = 1; i <= n; i++) {
            if (parts[i] == "..") depth--; else if (parts[i] != "" && parts[i] != ".") depth++
            if (depth < 0) return 1
        }
        return 0
    }
    {
        kind = substr($1, 1, 1); rest = substr($1, 3); at = index(rest, " ")
        if (kind == "f") what = "files that run as their owner or group (set-uid, set-gid)"
        else if (kind == "b" || kind == "c") what = "devices"
        else if (out(substr(rest, 1, at - 1) - 1, substr(rest, at + 1))) what = "links that lead out of what is restored"
        else next
        if (++found[what] <= 3) names[what] = names[what] (found[what] > 1 ? ", " : "") substr($NF == "" ? "the path itself" : $NF, 1, 120)
    }
    END { for (what in found) printf "matou: found %d %s: %s%s\n", found[what], what, names[what], (found[what] > 3 ? ", ..." : "") }'
