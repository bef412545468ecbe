#!/bin/sh
# One step of the seed's article, on a server of a practice fleet: the infrastructure of a web host before
# there was matou, by its own commands. The files of this folder lie in /root/seed.
# $1: the step: swap, engine, nfs, driver, traefik, apps, monitoring, restic, security. nfs wants the
# address of the other server in $2.
# What differs from the article: no LVM and no kernel NFS, which containers have no kernel for (all servers
# see the same /mnt/data; the volume driver binds its folders where the plugin mounts them by NFS), Traefik 3
# in the place of 1, and host ports, since there is no IPVS.
# Exit code: not 0 when something failed.
set -eu
cd /root/seed

case $1 in
    swap)
        # fallocate, mkswap and swapon are the machine's, which all practice servers share.
        echo "/swap  none  swap  sw 0  0" >>/etc/fstab
        echo "vm.swappiness = 10" >/etc/sysctl.d/99-swap.conf
        ;;
    engine)
        echo '{"log-opts": {"max-size": "10m"}, "live-restore": false}' >/etc/docker/daemon.json
        systemctl restart docker
        n=0
        until docker info >/dev/null 2>&1; do
            n=$((n + 1))
            [ $n -lt 100 ]
            sleep 0.2
        done
        ;;
    nfs)
        mkdir -p /mnt/data
        echo "/mnt/data 127.0.0.1(rw,sync,no_subtree_check,no_root_squash) $2(rw,sync,no_subtree_check,no_root_squash)" >/etc/exports
        ;;
    driver)
        install -m 755 netshare.pl /usr/bin/docker-volume-netshare
        cp docker-volume-netshare.service /etc/systemd/system/
        systemctl daemon-reload
        systemctl enable --quiet --now docker-volume-netshare.service
        docker volume create --driver nfs --name=test --opt share=127.0.0.1:/mnt/data --opt create=true >/dev/null
        docker run --rm -v test:/mount --entrypoint touch matou/hello:1.0 /mount/test
        [ -e /mnt/data/test/test ]
        ;;
    traefik)
        docker network create --driver=overlay traefik-net
        install -d /mnt/data/traefik
        install -m 600 acme.json /mnt/data/traefik/acme.json
        docker stack deploy --detach=true -c traefik.yml traefik
        ;;
    apps)
        SCHEME=https DOMAIN=blog.lab.test docker stack deploy --detach=true -c ghost.yml blog
        docker service create --detach --name page --network traefik-net -l traefik.port=8080 \
            -l traefik.frontend.rule=Host:page.lab.test -l traefik.enable=true \
            -l 'traefik.http.routers.page.rule=Host(`page.lab.test`)' -l traefik.http.routers.page.tls.certresolver=le \
            -l traefik.http.services.page.loadbalancer.server.port=8080 matou/hello:1.0 >/dev/null
        ;;
    monitoring)
        docker stack deploy --detach=true -c monitoring.yml monitoring
        ;;
    restic)
        cp /usr/bin/restic /usr/local/bin/restic
        mkdir -p /var/spool/cron/crontabs
        (umask 077 && echo 'of the old days' >/root/.restic)
        RESTIC_PASSWORD_FILE=/root/.restic
        export RESTIC_PASSWORD_FILE
        restic -r /srv/restic init
        restic -r /srv/restic backup /mnt/data
        # As `crontab -e` leaves it.
        (umask 077 && echo '0 0 * * * RESTIC_PASSWORD_FILE=/root/.restic /usr/local/bin/restic -r /srv/restic backup /mnt/data' >/var/spool/cron/crontabs/root)
        ;;
    security)
        iptables -A INPUT -p tcp --dport 23 -j DROP
        ;;
    *)
        echo "no step: $1" >&2
        exit 2
        ;;
esac
