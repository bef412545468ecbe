//! Programs of the catalogue out of package registries, each in an image of its own, started as the published
//! image is: what it is told by variables and files of secrets is the same, and so are the paths.

use std::path::PathBuf;

use super::Fleet;
use super::cached::made_once;
use super::edge::{import, sh};

/// Changes whenever what is in an image does.
const VERSION: u32 = 1;

/// An image's root file system, made once by tests/files/software/make.
fn root(program: &str) -> PathBuf {
    made_once(&format!("edge/{program}-{VERSION}.tar"), |part| {
        let files = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/software");
        sh(
            "\"$2/make\" \"$2\" \"$3\" >\"$1\"",
            &[&part.to_string_lossy(), files, program],
        );
    })
}

/// Gives a node an image by the name that the catalogue's stack has for it; `changes` are what the published
/// image's Dockerfile says of how it starts.
fn image(fleet: &Fleet, node: &str, program: &str, name: &str, changes: &[&str]) {
    let changes = changes.join("' -c '");
    import(fleet, node, &root(program), name, &changes);
}

/// Mumble's server of Debian 13.
pub(crate) fn mumble(fleet: &Fleet, node: &str) {
    image(
        fleet,
        node,
        "mumble",
        "mumblevoip/mumble-server:v1.5.915",
        &[
            "ENTRYPOINT [\"/entrypoint.sh\"]",
            "CMD [\"/usr/bin/mumble-server\"]",
            "VOLUME /data",
        ],
    );
}

/// Kanboard of Debian unstable.
pub(crate) fn kanboard(fleet: &Fleet, node: &str) {
    image(
        fleet,
        node,
        "kanboard",
        "kanboard/kanboard:v1.2.54",
        &[
            "ENTRYPOINT [\"/usr/local/bin/entrypoint.sh\"]",
            "EXPOSE 80 443",
            "VOLUME /var/www/app/data /var/www/app/plugins /etc/nginx/ssl",
        ],
    );
}

/// PostgreSQL of Debian 13.
pub(crate) fn postgres(fleet: &Fleet, node: &str) {
    image(
        fleet,
        node,
        "postgres",
        "postgres:17.11-alpine",
        &[
            "ENTRYPOINT [\"docker-entrypoint.sh\"]",
            "CMD [\"postgres\"]",
            "ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "ENV PGDATA=/var/lib/postgresql/data",
            "ENV LANG=C.UTF-8",
            "STOPSIGNAL SIGINT",
            "EXPOSE 5432",
            "VOLUME /var/lib/postgresql/data",
        ],
    );
}

/// Roundcube of Debian 13, and a mail server in the same image, as `matou/imap:1`.
pub(crate) fn roundcube(fleet: &Fleet, node: &str) {
    image(
        fleet,
        node,
        "roundcube",
        "roundcube/roundcubemail:1.7.4-apache",
        &[
            "ENTRYPOINT [\"/docker-entrypoint.sh\"]",
            "CMD [\"apache2-foreground\"]",
            "ENV PHP_INI_SCAN_DIR=:/usr/local/etc/php/conf.d",
            "WORKDIR /var/www/html",
            "EXPOSE 80",
        ],
    );
    fleet.run(
        node,
        "id=$(docker create roundcube/roundcubemail:1.7.4-apache)
         docker commit -c 'ENTRYPOINT [\"dovecot\", \"-F\"]' -c 'CMD []' $id matou/imap:1; docker rm $id",
    );
}

/// Synapse of PyPI, and beside it nginx with a page in the place of Element's, started as Element's image is.
pub(crate) fn synapse(fleet: &Fleet, node: &str) {
    let server = "matrixdotorg/synapse:v1.162.0";
    image(
        fleet,
        node,
        "synapse",
        server,
        &["ENTRYPOINT [\"/start.py\"]", "EXPOSE 8008 8448 19090"],
    );
    fleet.run(
        node,
        &format!(
            "id=$(docker create {server})
             docker commit -c 'ENTRYPOINT [\"/docker-entrypoint.sh\"]' -c 'CMD [\"nginx\", \"-g\", \"daemon off;\"]' \
                 -c 'USER nginx' $id vectorim/element-web:v1.12.29; docker rm $id"
        ),
    );
}

/// Radicale of PyPI, the version of the stack.
pub(crate) fn radicale(fleet: &Fleet, node: &str) {
    image(
        fleet,
        node,
        "radicale",
        "tomsquest/docker-radicale:3.7.5.0",
        &[
            "ENTRYPOINT [\"docker-entrypoint.sh\"]",
            "CMD [\"/venv/bin/radicale\", \"--config\", \"/config/config\"]",
            "ENV TAKE_FILE_OWNERSHIP=true",
            "EXPOSE 5232",
            "VOLUME /config /data",
        ],
    );
}

/// DokuWiki of Debian 12.
pub(crate) fn dokuwiki(fleet: &Fleet, node: &str) {
    image(
        fleet,
        node,
        "dokuwiki",
        "dokuwiki/dokuwiki:2025-05-14b",
        &[
            "ENTRYPOINT [\"/dokuwiki-entrypoint.sh\"]",
            "ENV PHP_INI_SCAN_DIR=:/usr/local/etc/php/conf.d",
            "WORKDIR /var/www/html",
            "EXPOSE 8080",
            "VOLUME /storage",
        ],
    );
}

/// MediaWiki of Debian 13.
pub(crate) fn mediawiki(fleet: &Fleet, node: &str) {
    image(
        fleet,
        node,
        "mediawiki",
        "mediawiki:1.43.9",
        &[
            "ENTRYPOINT [\"docker-php-entrypoint\"]",
            "CMD [\"apache2-foreground\"]",
            "ENV PHP_INI_SCAN_DIR=:/usr/local/etc/php/conf.d",
            "WORKDIR /var/www/html",
            "EXPOSE 80",
        ],
    );
}

/// Redmine of Debian unstable.
pub(crate) fn redmine(fleet: &Fleet, node: &str) {
    image(
        fleet,
        node,
        "redmine",
        "redmine:6.1.3",
        &[
            "ENTRYPOINT [\"/docker-entrypoint.sh\"]",
            "CMD [\"rails\", \"server\", \"-b\", \"0.0.0.0\"]",
            "ENV RAILS_ENV=production",
            "ENV RAILS_LOG_TO_STDOUT=true",
            "ENV HOME=/home/redmine",
            "ENV LANG=C.UTF-8",
            "WORKDIR /usr/src/redmine",
            "EXPOSE 3000",
            "VOLUME /usr/src/redmine/files",
        ],
    );
}
