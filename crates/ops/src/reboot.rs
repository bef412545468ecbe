//! Rebooting a node, and upgrading its packages: drained before, active again after.

use matou_i18n::tr;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;

use super::availability::NodeTarget;
use crate::OpsError;
use matou_host::{Command, Host, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Availability, NodeState, Swarm};

/// Label of the node in the swarm: the availability to restore. It outlives the console, so that a
/// job that was cut off is ended in order by running it again.
const AVAILABILITY_LABEL: &str = "org.matou.availability";

/// How long a server may take to come back.
const BOOT_TIMEOUT: Duration = Duration::from_secs(900);

/// How much longer a step that waits for it may take, so that it can say what it waited for.
const SPARE_TIME: Duration = Duration::from_secs(60);

/// Remembers an active node's availability and drains it.
pub(super) struct DrainForNow {
    pub target: NodeTarget,
}

/// Restores the availability that [`DrainForNow`] changed.
pub(super) struct RestoreAvailability {
    pub target: NodeTarget,
}

/// Reboots the node and waits until it is back.
pub(super) struct RebootNode {
    /// The boot id (see [`query_boot_id`]) when the plan was made.
    boot: OnceLock<String>,
    /// An earlier step drains the node, and a later one makes it active again.
    drained: bool,
}

impl RebootNode {
    /// Makes the step; `drained` says whether another one drains the node before it.
    pub(super) fn new(drained: bool) -> Self {
        let boot = OnceLock::new();
        Self { boot, drained }
    }
}

/// Tells the operator what is left when a job ends while a node is drained for it.
pub(super) async fn tell_stays_drained(cx: &StepContext, node: &str) {
    let note = tr!("{node} stays drained: `matou activate {node}` lets it take tasks again");
    cx.out.note(note).await;
}

/// Brings the packages up to date.
pub(super) struct UpgradePackages;

impl DrainForNow {
    /// Compares it with one reading of the swarm.
    fn check_swarm(&self, swarm: &Swarm) -> Result<Check, StepError> {
        let node = self.target.find_node(swarm)?;
        let name = &self.target.name;
        if node.availability != Availability::Active {
            let now = node.availability.word();
            return Ok(Check::Done(vec![Change::same(tr!("{name} is on {now}"))]));
        }
        let others = swarm.nodes.iter().any(|n| {
            n.id != node.id && n.availability == Availability::Active && n.state == NodeState::Ready
        });
        if !others {
            let alone = Change::same(tr!("{name} is not drained")).with_warning(tr!(
                "no other node is active: everything on it stops meanwhile"
            ));
            return Ok(Check::Done(vec![alone]));
        }
        Ok(Check::Change(vec![Change::modify(
            tr!("availability of {name}, for the time being"),
            "active",
            "drain",
        )]))
    }
}

#[async_trait]
impl Step for DrainForNow {
    fn name(&self) -> String {
        tr!("drain").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.check_swarm(&cx.query_swarm().await?)
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let id = self.target.find_node(&cx.query_swarm().await?)?.id.clone();
        let change = |spec: &mut matou_docker::RawSpec| {
            let labels = spec.map_mut(&["Labels"]);
            labels.insert(AVAILABILITY_LABEL.into(), "active".into());
        };
        cx.docker.update_node(&id, change).await?;
        cx.docker
            .set_node_availability(&id, Availability::Drain)
            .await
            .map_err(StepError::from)
    }
}

impl RestoreAvailability {
    /// Compares it with one reading of the swarm.
    fn check_swarm(&self, swarm: &Swarm) -> Result<Check, StepError> {
        let node = self.target.find_node(swarm)?;
        Ok(match node.labels.contains_key(AVAILABILITY_LABEL) {
            true => Check::Change(vec![Change::modify(
                tr!("availability of {}", self.target.name),
                node.availability.as_str(),
                "active",
            )]),
            // Before the first step there is nothing to give back yet.
            false if node.availability == Availability::Active => Check::Done(vec![Change::same(
                tr!("{} takes tasks afterwards", self.target.name),
            )]),
            false => Check::Done(vec![Change::same(tr!(
                "{} stays on {}, as it was",
                self.target.name,
                node.availability.as_str()
            ))]),
        })
    }
}

#[async_trait]
impl Step for RestoreAvailability {
    fn name(&self) -> String {
        tr!("give back").into()
    }

    fn timeout(&self) -> Duration {
        BOOT_TIMEOUT + SPARE_TIME
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.check_swarm(&cx.query_swarm().await?)
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        // No answer is none that says no: managers choose a leader after one of them has rebooted.
        let wait = cx.wait_at_most(BOOT_TIMEOUT, Duration::from_secs(1));
        let id = loop {
            let reason = match cx.query_swarm().await {
                Ok(swarm) => match self.target.find_node(&swarm) {
                    Ok(node) if node.state == NodeState::Ready => break node.id.clone(),
                    Ok(node) => tr!("it is {}", node.state),
                    Err(e) => e.to_string(),
                },
                Err(e) => e.to_string(),
            };
            wait.pause(|| tr!("the swarm does not see the node ready: {reason}"))
                .await?;
        };
        cx.docker
            .set_node_availability(&id, Availability::Active)
            .await?;
        let change = |spec: &mut matou_docker::RawSpec| {
            spec.map_mut(&["Labels"]).remove(AVAILABILITY_LABEL);
        };
        cx.docker
            .update_node(&id, change)
            .await
            .map_err(StepError::from)
    }
}

/// Asks for a text that differs between two boots. A container shares the kernel's boot id with its
/// host, so the start time of process 1 is part of it.
async fn query_boot_id(host: &Host) -> Result<String, StepError> {
    let read = Command::sh(
        "echo \"$(cat /proc/sys/kernel/random/boot_id) $(cut -d' ' -f22 /proc/1/stat)\"",
    )
    .timeout(Duration::from_secs(15))
    .label(tr!("ask for the boot"));
    Ok(host.run_ok(&read).await?.stdout_text())
}

#[async_trait]
impl Step for RebootNode {
    fn name(&self) -> String {
        tr!("reboot").into()
    }

    fn timeout(&self) -> Duration {
        BOOT_TIMEOUT + SPARE_TIME
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        if cx.host.is_local() {
            return Err(StepError::failed(tr!(
                "matou runs on this node and would not see it come back: run it elsewhere, or type `reboot`"
            )));
        }
        let now = query_boot_id(&cx.host).await?;
        let before = self.boot.get_or_init(|| now.clone());
        Ok(match *before == now {
            true => Check::Change(vec![
                Change::modify(&cx.node, tr!("running"), tr!("rebooted"))
                    .with_warning(tr!("what runs on it and nowhere else stops meanwhile")),
            ]),
            false => Check::Done(vec![Change::same(tr!("{} has rebooted", cx.node))]),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let done = reboot_and_wait(cx).await;
        if done.is_err() && self.drained {
            tell_stays_drained(cx, &cx.node).await;
        }
        done
    }
}

/// Reboots a node, and waits until it, its engine and the managers answer.
async fn reboot_and_wait(cx: &StepContext) -> Result<(), StepError> {
    let before = query_boot_id(&cx.host).await?;
    let manages = cx.docker.ping_manager().await.is_ok();
    // A moment later, so that this command ends before its connection does.
    let reboot = Command::new("systemd-run")
        .args([
            "--quiet",
            "--collect",
            "--on-active=1",
            "systemctl",
            "reboot",
        ])
        .sudo();
    cx.host.run_ok(&reboot).await?;
    cx.out.note(tr!("it reboots")).await;
    let late = |what: &str, reason: String| {
        tr!(
            "{what} is not back after {} s ({reason}): use your provider's console",
            BOOT_TIMEOUT.as_secs()
        )
    };
    let wait = cx.wait_at_most(BOOT_TIMEOUT, Duration::from_secs(2));
    loop {
        cx.host.reconnect();
        let reason = match query_boot_id(&cx.host).await {
            Ok(now) if now == before => tr!("it has not gone down").to_owned(),
            Ok(_) => break,
            Err(e) => e.to_string(),
        };
        wait.pause(|| late(&cx.node, reason)).await?;
    }
    cx.out.note(tr!("it is back, waiting for its engine")).await;
    while let Err(e) = cx.docker.query_engine().await {
        let engine = tr!("the engine of {}", cx.node);
        wait.pause(|| late(&engine, e.to_string())).await?;
    }
    // Two managers decide nothing while one of them is away, and choose a leader afterwards.
    if manages {
        cx.out.note(tr!("waiting until the managers answer")).await;
        while let Err(e) = cx.query_swarm().await {
            wait.pause(|| late(tr!("the swarm"), e.to_string())).await?;
        }
    }
    Ok(())
}

/// Parses lines `Inst NAME [OLD] (NEW …)` of `apt-get --simulate dist-upgrade`. Returns name, old
/// and new version of each package; the old one is empty for a new package.
/// Source: apt-get(8), --simulate.
pub(super) fn parse_pending_upgrades(simulated: &str) -> Vec<(String, String, String)> {
    simulated
        .lines()
        .filter_map(|l| {
            let mut words = l.strip_prefix("Inst ")?.split_whitespace();
            let name = words.next()?.to_owned();
            let rest = l.split_once(&name)?.1;
            let old = rest
                .split_once('[')
                .filter(|(before, _)| !before.contains('('))
                .map_or("", |(_, after)| after.split(']').next().unwrap_or(""));
            let new = rest.split_once('(').map_or("", |(_, after)| {
                after.split_whitespace().next().unwrap_or("")
            });
            Some((name, old.to_owned(), new.to_owned()))
        })
        .collect()
}

/// Asks the package manager what an upgrade would change.
pub(super) async fn query_pending_upgrades(
    host: &Host,
) -> Result<Vec<(String, String, String)>, OpsError> {
    let command = Command::new("apt-get")
        .args(["--simulate", "--allow-change-held-packages", "dist-upgrade"])
        .sudo()
        .timeout(Duration::from_secs(120))
        .label(tr!("look for upgrades"));
    let output = host.run_ok(&command).await?;
    Ok(parse_pending_upgrades(&output.stdout_text()))
}

/// Whether upgrading a package stops containers, or takes effect with a reboot only.
pub(super) fn is_disturbing_package(package: &str) -> bool {
    [
        "docker",
        "containerd",
        "runc",
        "linux-image",
        "libc6",
        "systemd",
    ]
    .iter()
    .any(|p| package.starts_with(p))
}

#[async_trait]
impl Step for UpgradePackages {
    fn name(&self) -> String {
        tr!("packages").into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(3600)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let pending = query_pending_upgrades(&cx.host).await?;
        if pending.is_empty() {
            let same = Change::same(tr!("every package is up to date"));
            return Ok(Check::Done(vec![same]));
        }
        Ok(Check::Change(
            pending
                .into_iter()
                .map(|(name, old, new)| match old.is_empty() {
                    true => Change::add(tr!("package {name} {new}")),
                    false => Change::modify(tr!("package {name}"), old, new),
                })
                .collect(),
        ))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let script = shell_script(include_str!("../scripts/upgrade_packages.sh"));
        cx.run_detached("matou-upgrade", script, &[]).await?;
        let asks = Command::sh("[ ! -e /var/run/reboot-required ]");
        if cx.host.run(&asks).await.is_ok_and(|o| o.code != 0) {
            let note = tr!(
                "the new kernel or library works after `matou reboot {}`",
                cx.node
            );
            cx.out.note(note).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_change_is_read() {
        let text = "Reading package lists...\nInst libc6 [2.36-9] (2.36-10 Debian:12.1/stable [amd64])\n\
            Inst linux-image-6.1.0-20 (6.1.85-1 Debian-Security:12/stable [amd64])\nConf libc6 (2.36-10 x)\n";
        let own = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            parse_pending_upgrades(text),
            [
                own("libc6", "2.36-9", "2.36-10"),
                own("linux-image-6.1.0-20", "", "6.1.85-1")
            ]
        );
        assert!(is_disturbing_package("docker-ce-cli") && !is_disturbing_package("curl"));
    }

    #[test]
    fn a_node_is_drained_for_a_reboot_and_given_back_as_it_was() {
        use crate::swarm_fixture::{changes, node, swarm};
        use matou_model::Role;
        let target = NodeTarget {
            name: "n1".into(),
            swarm_id: None,
        };
        let drain = DrainForNow {
            target: target.clone(),
        };
        let back = RestoreAvailability { target };
        let mut swarm = swarm([node("n1", Role::Manager), node("n2", Role::Worker)], []);
        let both = |swarm: &Swarm| {
            let lines = [drain.check_swarm(swarm), back.check_swarm(swarm)].map(changes);
            lines.concat()
        };
        assert_eq!(
            both(&swarm),
            [
                "~ availability of n1, for the time being: active → drain",
                "= n1 takes tasks afterwards"
            ]
        );
        // As the first step, or a job that was cut off, leaves it.
        swarm.nodes[0].availability = Availability::Drain;
        let label = (AVAILABILITY_LABEL.to_owned(), "active".to_owned());
        swarm.nodes[0].labels.extend([label]);
        assert_eq!(
            both(&swarm),
            ["= n1 is on drain", "~ availability of n1: drain → active"]
        );
        // It was drained by somebody: it stays so.
        swarm.nodes[0].labels.clear();
        assert_eq!(
            both(&swarm),
            ["= n1 is on drain", "= n1 stays on drain, as it was"]
        );
        swarm.nodes[0].availability = Availability::Active;
        swarm.nodes.truncate(1);
        assert!(both(&swarm)[0].contains("no other node is active"));
    }
}
