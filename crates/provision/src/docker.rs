//! Docker: from Docker's own apt repository, pinned to a major version, or the distribution's. An
//! engine that is there already is adopted as it is: packages of both are never mixed.
//!
//! Undo: `apt-get purge docker-ce docker-ce-cli containerd.io` (or docker.io), remove
//! /etc/apt/sources.list.d/docker.sources and /etc/apt/preferences.d/matou-docker.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::desired::{DesiredFile, DesiredState, compare_desired_file};
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, DockerSource, NodeConfig};
use matou_host::shell_script;
use matou_job::{Change, ChangeKind, Check, StepError};

const KEY: &str = "/etc/apt/keyrings/docker.asc";
const SOURCES: &str = "/etc/apt/sources.list.d/docker.sources";
const PREFERENCES: &str = "/etc/apt/preferences.d/matou-docker";

const DOCKER_PACKAGES: [&str; 3] = ["docker-ce", "docker-ce-cli", "containerd.io"];

/// Without AppArmor's own tools the distribution's engine refuses to start containers on a kernel
/// that has AppArmor.
const DISTRIBUTION_PACKAGES: [&str; 3] = ["docker.io", "apparmor", "iptables"];

/// Oldest engine that matou works with.
const OLDEST_MAJOR: u32 = 20;

/// Stores the key that comes from `$1` when its fingerprint is `$2`.
const FETCH_KEY: &str = shell_script(include_str!("../scripts/fetch_key.sh"));

/// The concern `docker`: the packages of the engine.
pub(crate) struct DockerConcern;

fn docker_repository_files(at: &NodeView<'_>) -> [DesiredFile; 2] {
    let os = at.facts.os_release();
    let config = &at.config().provision;
    [
        DesiredFile {
            path: SOURCES.into(),
            content: format!(
                "# Kept by `matou provision`.\nTypes: deb\nURIs: {}/{}\nSuites: {}\nComponents: stable\nSigned-By: {KEY}\n",
                config.docker_repository, os.id, os.codename
            ),
            mode: 0o644,
        },
        DesiredFile {
            path: PREFERENCES.into(),
            content: format!(
                "# Kept by `matou provision`: another major version only when config.toml says so.\n\
                 Package: docker-ce docker-ce-cli\nPin: version 5:{}.*\nPin-Priority: 990\n",
                config.docker_major
            ),
            mode: 0o644,
        },
    ]
}

fn desired_distribution_engine(at: &NodeView<'_>) -> DesiredState {
    let desired = DesiredState::default().with_packages(DISTRIBUTION_PACKAGES);
    // Debian 13 has the client in a package of its own.
    match at.facts.os_release() {
        os if os.id == "debian" && os.version != "12" => desired.with_packages(["docker-cli"]),
        _ => desired,
    }
}

/// Returns the package that the engine came in, or that it was installed by hand; `None` without
/// one.
fn find_engine_package(at: &NodeView<'_>) -> Option<&'static str> {
    let has = |p: &str| at.facts.package_version(p).is_some();
    if has("docker-ce") {
        Some("docker-ce")
    } else if has("docker.io") {
        Some("docker.io")
    } else {
        at.facts.engine().map(|_| tr!("installed by hand"))
    }
}

/// Returns whether the file of Docker's repository is one that matou wrote.
fn is_from_kept_repository(at: &NodeView<'_>) -> bool {
    at.facts
        .file(SOURCES)
        .is_some_and(|f| f.content.starts_with("# Kept by `matou provision`"))
}

#[async_trait]
impl Concern for DockerConcern {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn fact_query(&self, _: &NodeConfig, config: &Config) -> FactQuery {
        let needs = FactQuery::default().with_files([SOURCES, PREFERENCES]);
        match config.provision.docker {
            DockerSource::Distribution => needs,
            DockerSource::Docker => needs.with_command(
                "docker-key",
                format!("gpg --batch --show-keys --with-colons {KEY} | awk -F: '$1 == \"fpr\" {{ print $10; exit }}'"),
            ),
        }
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let engine = at.facts.engine();
        if let Some(engine) = &engine
            && engine.major_version().is_some_and(|m| m < OLDEST_MAJOR)
        {
            return Err(ProvisionError::failed(tr!(
                "the engine of {} is too old ({}): matou needs Docker 20.10 or newer; remove it, and it is installed anew",
                at.node.name,
                engine.version
            )));
        }
        let source = at.config().provision.docker;
        let found = find_engine_package(at);
        let adopted = match (found, source) {
            (None, _) => false,
            (Some("docker-ce"), DockerSource::Docker) => !is_from_kept_repository(at),
            (Some("docker.io"), DockerSource::Distribution) => false,
            _ => true,
        };
        if adopted {
            let version = engine.map_or_else(|| tr!("that does not run").to_owned(), |e| e.version);
            let packages = found.unwrap_or_default();
            return Ok(Check::Done(vec![Change::same(tr!(
                "Docker {version} ({packages}), adopted"
            ))]));
        }
        if source == DockerSource::Distribution {
            return Ok(Check::from_changes(
                desired_distribution_engine(at).compare(at.facts),
            ));
        }
        let wanted = &at.config().provision.docker_key;
        let mut lines = vec![match at.facts.output("docker-key") {
            "" => Change::add(tr!("key of Docker's repository, {wanted}")),
            key if key == wanted => Change::same(tr!("key of Docker's repository, {key}")),
            key => Change::modify(tr!("key of Docker's repository"), key, wanted),
        }];
        lines.extend(
            docker_repository_files(at)
                .iter()
                .map(|f| compare_desired_file(at.facts, f)),
        );
        let pinned = at.config().provision.docker_major;
        for name in DOCKER_PACKAGES {
            lines.push(match at.facts.package_version(name) {
                None => Change::add(tr!("package {name}")),
                Some(version) => {
                    let line = Change::same(tr!("package {name} {version}"));
                    let other = engine.as_ref().is_some_and(|e| e.major_version() != Some(pinned));
                    if name == "docker-ce" && other {
                        line.with_warning(tr!(
                            "{pinned} is wanted: `matou upgrade {}` drains the node and installs it",
                            at.node.name
                        ))
                    } else {
                        line
                    }
                }
            });
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        // Written before the first start, so that the engine need not be restarted.
        if find_engine_package(at).is_none() {
            super::engine::write_daemon_json(at, run).await?;
        }
        if at.config().provision.docker == DockerSource::Distribution {
            return desired_distribution_engine(at).apply(at, run).await;
        }
        let config = &at.config().provision;
        if at.facts.output("docker-key") != config.docker_key {
            let url = format!(
                "{}/{}/gpg",
                config.docker_repository,
                at.facts.os_release().id
            );
            run.run_script(
                tr!("fetch the key of Docker's repository"),
                FETCH_KEY,
                [url.as_str(), &config.docker_key, KEY],
            )
            .await?;
        }
        let mut changed = false;
        for file in docker_repository_files(at) {
            if compare_desired_file(at.facts, &file).kind != ChangeKind::Same {
                run.write_file(&file.path, &file.content, file.mode).await?;
                changed = true;
            }
        }
        let missing: Vec<&str> = DOCKER_PACKAGES
            .into_iter()
            .filter(|p| at.facts.package_version(p).is_none())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if changed {
            let script = "apt-get -q update -o DPkg::Lock::Timeout=300";
            run.run_script(tr!("read Docker's repository"), script, [""; 0])
                .await?;
        }
        run.install_packages(missing).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::NodeFacts;
    use super::super::testing::{check_of, config, lines};
    use super::*;

    fn facts(packages: &str) -> NodeFacts {
        NodeFacts::of(&[
            (
                "os",
                "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm",
            ),
            ("packages", packages),
        ])
    }

    #[test]
    fn a_blank_server_gets_dockers_repository_and_a_pin() {
        let plan = check_of(&DockerConcern, &config(""), facts("")).unwrap();
        insta::assert_snapshot!(lines(&plan).join("\n"), @r"
        + key of Docker's repository, 9DC858229FC7DD38854AE2D88D81803C0EBFCD88
        + /etc/apt/sources.list.d/docker.sources (6 lines)
        + /etc/apt/preferences.d/matou-docker (4 lines)
        + package docker-ce
        + package docker-ce-cli
        + package containerd.io
        ");
    }

    #[test]
    fn an_engine_that_is_there_is_adopted_and_never_mixed() {
        let plan = check_of(&DockerConcern, &config(""), facts("docker.io ii 20.10.24")).unwrap();
        assert_eq!(
            lines(&plan),
            ["= Docker that does not run (docker.io), adopted"]
        );
        let distribution = config("[provision]\ndocker = \"distribution\"");
        let plan = check_of(&DockerConcern, &distribution, facts("docker-ce ii 5:28.1")).unwrap();
        assert_eq!(
            lines(&plan),
            ["= Docker that does not run (docker-ce), adopted"]
        );
    }

    #[test]
    fn a_foreign_key_is_shown_as_old_and_new() {
        let found = facts("").with("docker-key", "AAAA", 0);
        let plan = check_of(&DockerConcern, &config(""), found).unwrap();
        assert!(lines(&plan)[0].starts_with("~ key of Docker's repository: AAAA → 9DC8"));
    }

    #[test]
    fn an_engine_that_is_too_old_is_named() {
        let found =
            facts("docker.io ii 18").with("docker-info", r#"{"ServerVersion":"18.09.1"}"#, 0);
        let e = check_of(&DockerConcern, &config(""), found).unwrap_err();
        assert!(e.to_string().contains("too old (18.09.1)"), "{e}");
    }
}
