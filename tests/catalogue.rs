//! The catalogue beside what the images' own sources say: each test is a defect that a deploy with the
//! real image had.

use std::collections::BTreeMap;
use std::path::Path;

use matou::config::Config;
use matou::stack::{Catalogue, Extension, JobSpec, RenderTarget, RenderedStack, VariableKind};
use serde_yaml::Value;

const MAIL: &str = "[mail]\nserver = \"smtp.example.org\"\nuser = \"matou\"\npassword_file = \"p\"\nsender = \"hello@example.org\"\n";

fn config(more: &str) -> Config {
    let text = format!(
        "[[nodes]]\nname = \"m\"\naddress = \"10.0.0.1\"\nrole = \"manager\"\n[edge]\nemail = \"ops@example.org\"\n{more}"
    );
    Config::parse(&text, Path::new("/fleet/config.toml")).expect("a configuration")
}

/// A stack of the catalogue, as it would be deployed.
struct Stack {
    name: String,
    extension: Extension,
    rendered: RenderedStack,
    compose: Value,
}

impl Stack {
    fn load(name: &str, more: &str) -> Self {
        let catalogue = Catalogue::load(None).expect("the catalogue");
        let extension = catalogue.find_extension(name).expect("an extension");
        let required = extension.variables.iter().filter(|v| v.required);
        let values: BTreeMap<String, String> = required
            .map(|v| {
                let value = match v.kind {
                    VariableKind::Domain => "app.example.org",
                    VariableKind::Email => "ops@example.org",
                    _ => "example",
                };
                (v.name.clone(), value.to_owned())
            })
            .collect();
        let config = config(more);
        let target = RenderTarget::for_fleet(&config);
        let rendered = catalogue
            .render_stack(name, "app", &values, &target)
            .expect("it renders");
        let compose = serde_yaml::from_str(&rendered.yaml).expect("YAML");
        Self {
            name: name.to_owned(),
            extension,
            rendered,
            compose,
        }
    }

    /// What the file says of a service under a key, as YAML without the escapes of dollar signs.
    fn text(&self, service: &str, key: &str) -> String {
        let value = &self.compose["services"][service][key];
        assert!(!value.is_null(), "{} has no {service}.{key}", self.name);
        serde_yaml::to_string(value)
            .expect("YAML")
            .replace("$$", "$")
    }

    #[track_caller]
    fn has(&self, service: &str, key: &str, wanted: &str) {
        let text = self.text(service, key);
        assert!(
            text.contains(wanted),
            "{}: no {wanted} in\n{text}",
            self.name
        );
    }

    #[track_caller]
    fn lacks(&self, service: &str, key: &str, unwanted: &str) {
        let text = self.text(service, key);
        assert!(
            !text.contains(unwanted),
            "{}: {unwanted} in\n{text}",
            self.name
        );
    }

    /// A scheduled job, which the label of its service holds too.
    #[track_caller]
    fn job(&self, name: &str) -> &JobSpec {
        let mut jobs = self.extension.jobs.iter();
        let job = jobs.find(|job| job.name == name).expect("a job");
        self.has(&job.service, "deploy", &format!("org.matou.job.{name}"));
        job
    }

    fn memory(&self, service: &str) -> &str {
        let limits = &self.compose["services"][service]["deploy"]["resources"]["limits"];
        limits["memory"].as_str().expect("a limit")
    }
}

fn stack(name: &str) -> Stack {
    Stack::load(name, "")
}

#[test]
fn the_edge_asks_its_proxy_what_traefik_asks_it() {
    for name in ["traefik", "monitoring"] {
        let stack = stack(name);
        // v0.5.0 lets /version hang.
        stack.has("proxy", "image", "docker-socket-proxy:v0.4.2");
    }
    let edge = stack("traefik");
    edge.has("proxy", "healthcheck", "2375/version");
    edge.has(
        "traefik",
        "command",
        "--entrypoints.websecure.transport.respondingtimeouts.readtimeout=1h",
    );
}

#[test]
fn ghost_waits_for_its_database_and_lets_its_owner_in_again() {
    let bare = stack("ghost");
    bare.has("web", "entrypoint", "until nc -z db 3306");
    bare.has(
        "web",
        "entrypoint",
        "exec docker-entrypoint.sh node current/index.js",
    );
    // The temporary server of a first start answers on its socket.
    bare.has("db", "healthcheck", "--protocol=tcp --host=127.0.0.1");
    bare.has(
        "web",
        "environment",
        "security__staffDeviceVerification: 'false'",
    );
    let with_mail = Stack::load("ghost", MAIL);
    with_mail.has(
        "web",
        "environment",
        "security__staffDeviceVerification: 'true'",
    );
    with_mail.has(
        "web",
        "environment",
        "mail__options__host: smtp.example.org",
    );
    with_mail.has("web", "environment", "mail__from: hello@example.org");
}

#[test]
fn owncloud_is_installed_before_it_counts_as_well() {
    let stack = stack("owncloud");
    stack.has(
        "web",
        "entrypoint",
        "exec /usr/bin/entrypoint /usr/bin/owncloud server",
    );
    stack.has(
        "web",
        "environment",
        "OWNCLOUD_OVERWRITE_CLI_URL: https://app.example.org",
    );
    stack.has("web", "environment", "OWNCLOUD_TRUSTED_PROXIES");
    stack.has("web", "environment", "OWNCLOUD_REDIS_HOST: cache");
    stack.has("web", "healthcheck", "installed");
    let check = stack.rendered.check.expect("a check");
    assert_eq!(check.contains, ["\"installed\":true"]);
}

#[test]
fn nextcloud_runs_its_jobs_and_takes_large_files() {
    let stack = stack("nextcloud");
    stack.has("web", "environment", "APACHE_BODY_LIMIT: '0'");
    let job = stack.job("cron");
    assert_eq!(job.service, "web");
    assert_eq!(job.command, ["php", "-f", "/var/www/html/cron.php"]);
    assert_eq!(job.user.as_deref(), Some("www-data"));
    stack.has("cache", "command", "maxmemory");
    stack.has(
        "web",
        "entrypoint",
        "exec /entrypoint.sh apache2-foreground",
    );
    let check = stack.rendered.check.expect("a check");
    assert_eq!(check.contains, ["\"installed\":true"]);
}

#[test]
fn invoice_ninja_is_initialised_by_its_own_command() {
    let stack = stack("invoiceninja");
    stack.has(
        "web",
        "entrypoint",
        "exec /usr/local/bin/init.sh supervisord -c /etc/supervisor/supervisord.conf",
    );
    stack.has("web", "entrypoint", "until mariadb-admin ping -h db");
    stack.has("edge", "volumes", "storage:/var/www/html/storage");
    stack.has("web", "environment", "QUEUE_CONNECTION: database");
    stack.has("web", "environment", "FILESYSTEM_DISK: debian_docker");
    stack.has("web", "healthcheck", "cgi-fcgi");
}

#[test]
fn a_shop_that_was_half_installed_is_told_and_not_served() {
    let stack = stack("prestashop");
    stack.has("web", "entrypoint", "app/config/parameters.php");
    stack.has("web", "entrypoint", "exec /tmp/docker_run.sh");
    stack.has("web", "healthcheck", "install.lock");
    assert!(!stack.rendered.troubles.is_empty());
    // The deploy waits as long as the stack allows, and for its images.
    let start = stack
        .rendered
        .services
        .iter()
        .map(|s| s.requirements.start_limit);
    assert!(
        start
            .max()
            .is_some_and(|longest| longest.as_secs() >= 25 * 60)
    );
}

#[test]
fn vaultwarden_is_backed_up_without_sqlite3() {
    let stack = stack("vaultwarden");
    let dump = &stack.extension.backup.dumps[0];
    let command = dump.command.as_deref().expect("a command");
    assert!(command.contains("/vaultwarden backup"), "{command}");
    // It is loaded by its file all the same.
    assert!(dump.loading_engine().is_some());
    stack.has("web", "environment", "ENABLE_DB_WAL: 'false'");
}

#[test]
fn matomo_sees_its_visitors_and_makes_its_reports() {
    let stack = stack("matomo");
    let archive = stack.job("archive");
    let line = archive.command.last().expect("a line");
    assert!(line.contains("core:archive --url=https://$SITE_DOMAIN/"));
    stack.has("web", "environment", "SITE_DOMAIN: app.example.org");
    stack.has("db", "command", "--max-allowed-packet=64MB");
    assert!(stack.extension.guard);
    let start = include_str!("../stacks/matomo/start.sh");
    assert!(start.contains("General.proxy_client_headers"));
}

#[test]
fn dolibarr_runs_its_jobs_as_the_image_does() {
    let stack = stack("dolibarr");
    let job = stack.job("cron");
    let line = job.command.last().expect("a line");
    assert!(line.contains("/var/www/scripts/cron/cron_run_jobs.php"));
    // What the line takes from its container.
    stack.has("web", "environment", "DOLI_CRON_USER: admin");
    stack.has("web", "secrets", "cron_key");
    stack.has("web", "environment", "DOLI_CRON: '0'");
}

#[test]
fn forgejo_has_an_administrator_and_a_key_of_its_own() {
    let stack = stack("forgejo");
    stack.has(
        "web",
        "environment",
        "FORGEJO__security__INSTALL_LOCK: 'true'",
    );
    stack.has("web", "entrypoint", "FORGEJO__security__SECRET_KEY__FILE");
    stack.has("web", "healthcheck", "administrator-made");
    let login = stack.rendered.login.expect("a log-in");
    // Forgejo reserves the name.
    assert_ne!(login.user, "admin");
}

#[test]
fn rocket_chat_has_an_administrator() {
    let stack = stack("rocketchat");
    stack.has("web", "entrypoint", "ADMIN_PASS");
    stack.has(
        "web",
        "environment",
        "OVERWRITE_SETTING_Show_Setup_Wizard: completed",
    );
    stack.lacks("web", "environment", "MONGO_OPLOG_URL");
}

#[test]
fn mumble_is_asked_what_its_clients_ask() {
    let stack = stack("mumble");
    assert!(stack.rendered.domains.is_empty());
    // The image has no curl and no nc, and its shell's `/dev/udp` is bash's.
    stack.has("server", "healthcheck", "- bash");
    stack.has("server", "healthcheck", "/dev/udp/127.0.0.1/64738");
    // Behind the mesh one client that connects too often shuts out all.
    let ports = stack.text("server", "ports");
    assert_eq!(ports.matches("mode: host").count(), 2, "{ports}");
    // The name that the image looks for.
    stack.has("server", "secrets", "target: MUMBLE_SUPERUSER_PASSWORD");
    stack.has("server", "environment", "OPEN: 'false'");
    let dump = &stack.extension.backup.dumps[0];
    assert!(dump.loading_engine().is_some());
    let login = stack.rendered.login.expect("a log-in");
    let lines = login.describe_lines("talk").join("\n");
    assert!(lines.starts_with("log in as SuperUser"), "{lines}");
}

#[test]
fn a_meeting_is_opened_by_an_account_alone() {
    let stack = stack("jitsi");
    for service in ["web", "prosody", "jicofo"] {
        stack.has(service, "environment", "ENABLE_AUTH: '1'");
    }
    stack.has("prosody", "entrypoint", "shell user create");
    stack.has("prosody", "healthcheck", "/tmp/account");
    // A heap of 3 GB each otherwise.
    stack.has("jicofo", "environment", "JICOFO_MAX_MEMORY: 256m");
    stack.has("jvb", "environment", "VIDEOBRIDGE_MAX_MEMORY: 1024m");
    stack.has("jvb", "ports", "protocol: udp");
    stack.has("jvb", "ports", "mode: host");
    let check = stack.rendered.check.expect("a check");
    assert_eq!(check.contains, ["config.hosts.authdomain"]);
}

#[test]
fn mobilizon_has_an_administrator_and_a_database_that_can_be_restored() {
    let stack = stack("mobilizon");
    stack.has("web", "entrypoint", "users.new \"$ADMIN_EMAIL\" --admin");
    stack.has("web", "healthcheck", "/tmp/administrator");
    stack.has("web", "entrypoint", "exports/pdf");
    // Extensions that the image adds keep a dump without them from being loaded.
    stack.has(
        "db",
        "entrypoint",
        "rm -f /docker-entrypoint-initdb.d/10_postgis.sh",
    );
}

#[test]
fn etherpad_is_started_as_its_image_starts_it() {
    let stack = stack("etherpad");
    stack.has(
        "web",
        "entrypoint",
        "cd src && exec node --require tsx/cjs node/server.ts",
    );
    let password = &stack.rendered.secrets[0].spec;
    assert_eq!(
        (password.name.as_str(), password.prefix.as_str()),
        ("admin_password", "pw-")
    );
}

#[test]
fn uploads_of_php_are_larger_than_2_megabytes() {
    for name in ["wordpress", "joomla", "prestashop"] {
        let stack = stack(name);
        stack.has("web", "configs", "/usr/local/etc/php/conf.d/uploads.ini");
    }
}

#[test]
fn what_needs_memory_has_it() {
    let monitoring = stack("monitoring");
    assert_eq!(monitoring.memory("grafana"), "512M");
    monitoring.has("grafana", "environment", "GF_PLUGINS_PREINSTALL_DISABLED");
    let elastic = stack("elastic");
    assert_eq!(elastic.memory("filebeat"), "512M");
    elastic.has("filebeat", "healthcheck", "5066");
}

/// An application is installed by its stack, or its router asks for a password; and the operator is told
/// how to log in.
#[test]
fn no_installer_is_open_and_everybody_is_told_how_to_log_in() {
    let catalogue = Catalogue::load(None).expect("the catalogue");
    for entry in catalogue.list_entries() {
        let stack = stack(&entry.name);
        let has_domain = !stack.rendered.domains.is_empty();
        let needs_login = !matches!(
            entry.name.as_str(),
            "whoami" | "hello" | "monitoring" | "elastic" | "logs"
        );
        if has_domain && needs_login {
            let login = stack.rendered.login.as_ref();
            let login = login.unwrap_or_else(|| panic!("{} has no log-in", entry.name));
            let lines = login.describe_lines("app").join("\n");
            assert!(!lines.is_empty(), "{}", entry.name);
            if let Some(secret) = &login.secret {
                let mut made = stack.rendered.secrets.iter();
                assert!(
                    made.any(|s| s.spec.name == *secret),
                    "{}: {secret}",
                    entry.name
                );
            }
        }
    }
}

/// With `[mail]`, every application that can send does; without it, none is told a server.
#[test]
fn mail_is_said_once_and_given_to_all() {
    let catalogue = Catalogue::load(None).expect("the catalogue");
    let mut senders = 0;
    for entry in catalogue.list_entries() {
        if !catalogue
            .find_extension(&entry.name)
            .expect("an extension")
            .mail
        {
            continue;
        }
        senders += 1;
        let (without, with) = (stack(&entry.name), Stack::load(&entry.name, MAIL));
        assert!(
            !without.rendered.yaml.contains("smtp.example.org"),
            "{}",
            entry.name
        );
        assert!(
            with.rendered.yaml.contains("smtp.example.org"),
            "{}",
            entry.name
        );
        let secret = |s: &Stack| {
            let mut all = s.rendered.file_secrets.iter();
            all.any(|secret| secret.name.starts_with("app_mail_password_"))
        };
        // Mattermost's image has no shell that could read a secret: the operator types it in.
        if entry.name != "mattermost" {
            assert!(secret(&without) && secret(&with), "{}", entry.name);
        }
    }
    assert!(senders >= 10, "{senders}");
}
