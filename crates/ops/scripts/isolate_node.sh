# shellcheck shell=sh
# Drops packets of connections that containers open out of the node by its default route, or only looks
# whether they are dropped; prints "open" or "closed". DOCKER-USER is the chain that Docker leaves to the
# operator.
# $1 "close" to add the rule.
# Exit code: not 0 when the rule could not be added.
# $rule is several words.
# shellcheck disable=SC2086
set -e
dev=$(ip -o -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
[ -n "$dev" ] || { echo "there is no default route: nothing gets out"; exit 0; }
rule="-o $dev -m conntrack --ctstate NEW -j DROP"
iptables -C DOCKER-USER $rule 2>/dev/null && { echo "closed"; exit 0; }
[ "$1" = close ] || { echo "open"; exit 0; }
iptables -N DOCKER-USER 2>/dev/null || :
iptables -I DOCKER-USER $rule
echo "closed"
