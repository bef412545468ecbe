//! Nodes that are lost, and what is wrong for no other reason: it is told with them. Pure. In doubt a thing does not
//! follow from a node: then it is told by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::{Alert, AlertKind, AlertTarget};
use matou_model::{Fleet, NodeState, Service, Swarm, SwarmNode, Task, TaskState};

/// The managers may take so long to notice that a node is gone, seconds. One that they still see then is not lost,
/// whoever can't reach it.
const NOTICE: i64 = 90;

/// A task that ended no longer than this before its node was found lost ended with it, seconds: what is shut down stops
/// its tasks first, and looks are minutes apart.
const STOPPING: i64 = 300;

/// A task may take so long to start on another node, seconds.
const MOVING: i64 = 600;

/// A node that is lost, with what follows from that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LostNode {
    /// As its alerts name it.
    name: String,
    /// Applications that have a service which runs nowhere since then, and are well otherwise.
    apps: BTreeSet<String>,
    /// The applications of services that lack no more than the tasks that were on it, by the services' ids.
    services: BTreeMap<String, String>,
    /// The id of the service that takes https, and its application, when it runs nowhere since then.
    edge: Option<(String, String)>,
}

impl LostNode {
    /// Returns the keys of the alerts that say that it is lost.
    pub(super) fn list_keys(&self) -> [String; 3] {
        ["swarm", "link", "engine"].map(|sort| format!("node/{}/{sort}", self.name))
    }

    /// Whether an alert says that this node is lost.
    pub(super) fn is_told_by(&self, alert: &Alert) -> bool {
        is_loss_of(&self.name, alert)
    }

    /// Returns the application of an alert that follows from the loss; `None` when it does not.
    pub(super) fn find_app_of(&self, alert: &Alert) -> Option<&str> {
        let app = match (alert.kind, &alert.target) {
            (AlertKind::Replicas, AlertTarget::Service(id)) => self.services.get(id),
            (AlertKind::Http, AlertTarget::App(app)) => self.apps.get(app),
            (AlertKind::Edge, AlertTarget::Service(id)) => {
                let edge = self.edge.as_ref().filter(|(edge, _)| edge == id);
                edge.map(|(_, app)| app)
            }
            _ => None,
        };
        app.map(String::as_str)
    }

    /// Returns the applications that have a service which runs nowhere since then, by name.
    pub(super) fn apps(&self) -> &BTreeSet<String> {
        &self.apps
    }

    /// Whether the fleet's edge ran there, and runs nowhere since then.
    pub(super) fn had_edge(&self) -> bool {
        self.edge.is_some()
    }
}

/// Whether an alert says that the node of that name is lost.
fn is_loss_of(name: &str, alert: &Alert) -> bool {
    matches!(alert.kind, AlertKind::Unreachable | AlertKind::NodeDown)
        && matches!(&alert.target, AlertTarget::Node(node) if node == name)
}

/// A node's loss, as tasks are compared with it.
struct Loss<'a> {
    /// The swarm's id of the node; empty where that is not known.
    id: &'a str,
    /// Since when, as far as that was seen.
    since: Option<Timestamp>,
}

impl<'a> Loss<'a> {
    /// Finds out whether a node is lost: an alert says so, and the managers do too, or can't know it yet.
    fn find(
        name: &str,
        seen: Option<&'a SwarmNode>,
        alerts: &[Alert],
        now: Timestamp,
    ) -> Option<Self> {
        let own: Vec<&Alert> = alerts.iter().filter(|a| is_loss_of(name, a)).collect();
        let since = own.iter().filter_map(|a| a.since).min();
        let is_new =
            since.is_some_and(|since| (0..NOTICE).contains(&(now.as_second() - since.as_second())));
        let is_seen = seen.is_some_and(|s| s.state != NodeState::Ready);
        (!own.is_empty() && (is_seen || is_new)).then(|| Self {
            id: seen.map_or("", |s| s.id.as_str()),
            since,
        })
    }

    /// Whether a task is on the node.
    fn has(&self, task: &Task) -> bool {
        !self.id.is_empty() && self.id == task.node_id
    }

    /// Whether a task was on the node until that was lost.
    fn took(&self, task: &Task) -> bool {
        let ended_with_it = match (task.since, self.since) {
            (Some(ended), Some(lost)) => lost.as_second() - ended.as_second() <= STOPPING,
            _ => false,
        };
        self.has(task) && (!task.has_ended() || task.state == TaskState::Orphaned || ended_with_it)
    }
}

/// Finds the nodes that are lost, and what follows from each. `alerts` are all of the same look.
pub fn find_lost_nodes(fleet: &Fleet, alerts: &[Alert], now: Timestamp) -> Vec<LostNode> {
    let (mut lost, mut losses) = (Vec::new(), Vec::new());
    for node in &fleet.nodes {
        let seen = fleet.find_swarm_node(node);
        if let Some(loss) = Loss::find(&node.name, seen, alerts, now) {
            losses.push(loss);
            lost.push(LostNode {
                name: node.name.clone(),
                ..LostNode::default()
            });
        }
    }
    if let Some(swarm) = fleet.swarm.value().filter(|_| !lost.is_empty()) {
        add_followers(swarm, &losses, &mut lost, now);
    }
    lost
}

/// Adds to each lost node the services that miss its tasks; `losses` are those of `lost`, in the same order.
fn add_followers(swarm: &Swarm, losses: &[Loss<'_>], lost: &mut [LostNode], now: Timestamp) {
    let edge = swarm.find_edge_service().map(|e| e.id.as_str());
    let mut tasks: HashMap<&str, Vec<&Task>> = HashMap::new();
    for task in &swarm.tasks {
        tasks.entry(&task.service_id).or_default().push(task);
    }
    // Those that miss something else too.
    let mut troubled: BTreeSet<&str> = BTreeSet::new();
    for service in swarm.services.iter().filter(|s| s.job.is_none()) {
        let app = service.stack.as_deref().unwrap_or(&service.name);
        let tasks = tasks.get(service.id.as_str());
        let missing =
            MissingTasks::find(service, tasks.map_or(&[][..], Vec::as_slice), losses, now);
        if missing.others {
            troubled.insert(app);
            continue;
        }
        for taker in missing.takers {
            let node = &mut lost[taker];
            node.services.insert(service.id.clone(), app.to_owned());
            if missing.some_run {
                continue;
            }
            node.apps.insert(app.to_owned());
            if edge == Some(service.id.as_str()) {
                node.edge = Some((service.id.clone(), app.to_owned()));
            }
        }
    }
    for node in lost {
        node.apps.retain(|app| !troubled.contains(app.as_str()));
    }
}

/// The tasks that a service lacks.
#[derive(Default)]
struct MissingTasks {
    /// The lost nodes that had them, by their places in the list.
    takers: BTreeSet<usize>,
    /// Whether it lacks some that no lost node had.
    others: bool,
    /// Whether some of its tasks run, on nodes that are not lost.
    some_run: bool,
}

impl MissingTasks {
    fn find(service: &Service, tasks: &[&Task], losses: &[Loss<'_>], now: Timestamp) -> Self {
        let mut places: BTreeMap<(Option<u64>, &str), Vec<&Task>> = BTreeMap::new();
        for task in tasks.iter().copied() {
            // Of a global service each node is a place.
            let node = match task.slot {
                Some(_) => "",
                None => task.node_id.as_str(),
            };
            places.entry((task.slot, node)).or_default().push(task);
        }
        let mut missing = Self::default();
        let mut explained = 0;
        for tasks in places.values() {
            // A place that is not wanted any more has a past alone. The engine waits some seconds before it starts a
            // task again.
            let is_wanted = |t: &Task| t.is_to_go_on() || t.desired == TaskState::Ready;
            if !tasks.iter().any(|t| is_wanted(t)) {
                continue;
            }
            let runs = |t: &Task| {
                t.is_to_go_on() && t.state == TaskState::Running && !losses.iter().any(|l| l.has(t))
            };
            if tasks.iter().any(|t| runs(t)) {
                missing.some_run = true;
                continue;
            }
            match find_taker(tasks, losses, now) {
                Some(taker) => {
                    missing.takers.insert(taker);
                    explained += 1;
                }
                None => missing.others = true,
            }
        }
        missing.others |= service.wanted.saturating_sub(service.running) > explained;
        missing
    }
}

/// Returns the lost node, by its place in the list, that had the task of a place of a service, or from which it moves.
fn find_taker(tasks: &[&Task], losses: &[Loss<'_>], now: Timestamp) -> Option<usize> {
    let taker_of = |task: &Task| losses.iter().position(|l| l.took(task));
    // What ended as it was asked to says nothing; an orphan's time is when the engine gave it up.
    let telling = tasks.iter().copied().filter(|t| {
        let says_something = taker_of(t).is_some() || t.has_failed() || !t.has_ended();
        !t.node_id.is_empty() && says_something
    });
    let newest = telling.max_by_key(|t| (t.state != TaskState::Orphaned, t.since))?;
    if let Some(taker) = taker_of(newest) {
        return Some(taker);
    }
    let is_starting = !newest.has_ended()
        && newest
            .since
            .is_some_and(|since| now.as_second() - since.as_second() < MOVING);
    let mut takers = tasks.iter().filter_map(|t| taker_of(t));
    takers.next().filter(|_| is_starting)
}

#[cfg(test)]
mod tests {
    use super::super::{AlertSeverity, Remedy};
    use super::*;
    use matou_model::TaskState::{Failed, Orphaned, Pending, Preparing, Running, Shutdown};
    use matou_model::{Datum, Node, Update};

    const NOW: i64 = 1_000_000;

    fn at(ago: i64) -> Timestamp {
        Timestamp::from_second(NOW - ago).unwrap()
    }

    fn alert(kind: AlertKind, target: AlertTarget) -> Alert {
        Alert {
            key: "key".into(),
            kind,
            severity: AlertSeverity::Critical,
            what: "what".into(),
            why: "why".into(),
            since: Some(at(200)),
            target,
            remedy: Remedy::Shell,
            silence: None,
        }
    }

    fn task(slot: u64, node: &str, state: TaskState, desired: TaskState, ago: i64) -> Task {
        Task {
            id: format!("{slot}-{ago}"),
            service_id: "s1".into(),
            slot: Some(slot).filter(|s| *s > 0),
            node_id: node.into(),
            state,
            desired,
            message: String::new(),
            error: String::new(),
            container_id: None,
            exit_code: None,
            ended_unasked: false,
            iteration: None,
            image: "x:1".into(),
            outdated: false,
            since: Some(at(ago)),
        }
    }

    /// What is told with n2, which is down: of a service with two tasks wanted whether it lacks them for that, and
    /// whether its application does not answer for that.
    fn follows(tasks: Vec<Task>) -> (bool, bool) {
        let service = Service {
            id: "s1".into(),
            name: "blog_web".into(),
            stack: Some("blog".into()),
            wanted: 2,
            running: tasks
                .iter()
                .filter(|t| t.state == Running && t.desired == Running)
                .count() as u64,
            ..Service::default()
        };
        let names = ["n1", "n2", "n3"];
        let swarm = Swarm {
            nodes: names
                .map(|name| SwarmNode {
                    id: name.into(),
                    hostname: name.into(),
                    state: match name {
                        "n2" => NodeState::Down,
                        _ => NodeState::Ready,
                    },
                    ..SwarmNode::default()
                })
                .into(),
            services: vec![service],
            tasks,
            ..Swarm::default()
        };
        let nodes = names.map(|name| Node {
            name: name.into(),
            configured: true,
            ..Node::default()
        });
        let mut fleet = Fleet::new("f", nodes.into());
        let datum = Datum::Swarm(Ok(swarm));
        fleet.apply(Update { at: at(0), datum });
        let of_node = alert(AlertKind::NodeDown, AlertTarget::Node("n2".into()));
        let lost = find_lost_nodes(&fleet, std::slice::from_ref(&of_node), at(0));
        assert!(lost.len() == 1 && lost[0].is_told_by(&of_node), "{lost:?}");
        let has = |kind, target| lost[0].find_app_of(&alert(kind, target)).is_some();
        (
            has(AlertKind::Replicas, AlertTarget::Service("s1".into())),
            has(AlertKind::Http, AlertTarget::App("blog".into())),
        )
    }

    #[test]
    fn what_a_lost_node_took_follows_from_it_and_nothing_else_does() {
        let cut = |slot| task(slot, "n2", Running, Shutdown, 9000);
        let waits = |slot| task(slot, "", Pending, Running, 100);
        let runs = |slot| task(slot, "n1", Running, Running, 9000);
        for (what, tasks, expected) in [
            ("both ran elsewhere", vec![runs(1), runs(2)], (false, false)),
            (
                "both wait",
                vec![waits(1), cut(1), waits(2), cut(2)],
                (true, true),
            ),
            (
                "one runs elsewhere",
                vec![runs(1), waits(2), cut(2)],
                (true, false),
            ),
            (
                "a place that nobody wants any more",
                vec![runs(1), cut(0)],
                (false, false),
            ),
            (
                "one was never there",
                vec![waits(1), waits(2), cut(2)],
                (false, false),
            ),
            (
                "they move",
                vec![
                    task(1, "n3", Preparing, Running, 100),
                    cut(1),
                    waits(2),
                    cut(2),
                ],
                (true, true),
            ),
            (
                "one moves for too long",
                vec![
                    task(1, "n3", Preparing, Running, 601),
                    cut(1),
                    waits(2),
                    cut(2),
                ],
                (false, false),
            ),
            (
                "one fails elsewhere",
                vec![
                    waits(1),
                    task(1, "n3", Failed, Shutdown, 50),
                    cut(1),
                    waits(2),
                    cut(2),
                ],
                (false, false),
            ),
            (
                "it failed elsewhere before",
                vec![
                    waits(1),
                    task(1, "n3", Failed, Shutdown, 9100),
                    cut(1),
                    waits(2),
                    cut(2),
                ],
                (true, true),
            ),
            (
                "given up after a day, with the first having failed elsewhere since",
                vec![
                    waits(1),
                    task(1, "n3", Failed, Shutdown, 50),
                    task(1, "n2", Orphaned, Shutdown, 10),
                    waits(2),
                    cut(2),
                ],
                (false, false),
            ),
            (
                "it was shut down in order",
                vec![
                    waits(1),
                    task(1, "n2", Shutdown, Shutdown, 230),
                    waits(2),
                    task(2, "n2", Failed, Shutdown, 229),
                ],
                (true, true),
            ),
            (
                "it left that node long ago",
                vec![
                    waits(1),
                    task(1, "n2", Shutdown, Shutdown, 9000),
                    waits(2),
                    cut(2),
                ],
                (false, false),
            ),
        ] {
            assert_eq!(follows(tasks), expected, "{what}");
        }
    }
}
