//! From red to its reason: at most two keys, from wherever one looks.

use matou::model::{Backups, Datum, Fleet, Metrics, NodeLink, TaskState, Update};
use matou::ui::fixture::{self, NOW};

use crate::Console;

/// Most keys from a view on which something is red to why it is.
const MOST_KEYS: usize = 2;

/// All is well but for the blog, of which this is true of each task.
fn one_application_down(state: TaskState, error: &str, ran: bool) -> Fleet {
    let mut fleet = fixture::example_fleet();
    let mut swarm = fleet.swarm.value().cloned().expect("a swarm");
    for service in &mut swarm.services {
        service.running = service.wanted;
    }
    let blog = swarm.services.iter_mut().find(|s| s.name == "blog_web");
    let blog = blog.expect("blog_web");
    blog.running = 0;
    let id = blog.id.clone();
    for task in &mut swarm.tasks {
        (task.state, task.error) = (TaskState::Running, String::new());
        if task.service_id == id {
            (task.state, task.error) = (state.clone(), error.into());
            task.container_id = task.container_id.take().filter(|_| ran);
        }
    }
    let mut certificates = fleet.certificates.value().cloned().expect("read");
    certificates.truncate(1);
    let node = || "worker-02".to_owned();
    let calm = Metrics {
        disk_used: 1 << 30,
        disk_total: 10 << 30,
        memory_total: 8 << 30,
        ..Metrics::default()
    };
    for datum in [
        Datum::Swarm(Ok(swarm)),
        Datum::Backups(Ok(Backups::default())),
        Datum::Certificates(Ok(certificates)),
        Datum::Metrics {
            node: node(),
            reading: Ok(calm),
        },
        Datum::Link {
            node: node(),
            link: NodeLink::Up,
        },
    ] {
        fleet.apply(Update { at: NOW, datum });
    }
    fleet
}

/// What stands on the right, with its lines put together: a reason may be wrapped.
fn details(screen: &str) -> String {
    let inside = screen.lines().map(|line| {
        let line = line.trim_matches('"').trim_end_matches([' ', '│']);
        line.rsplit('│').next().unwrap_or_default().trim()
    });
    inside.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_reason_of_an_application_that_is_down_is_two_keys_away() {
    let missing = "No such image: ghost:6.0.4-alpine";
    let cases = [
        (TaskState::Rejected, missing, false),
        (TaskState::Failed, "task: non-zero exit (1)", true),
        (
            TaskState::Pending,
            "no suitable node (insufficient resources on 3 nodes)",
            false,
        ),
    ];
    for (state, error, ran) in cases {
        for (view, opened_by, keys) in [
            ("the dashboard", "0", "\n"),
            ("services", "2", "\n\n"),
            ("nodes", "1", "a\n"),
            ("alerts", "a", "\n"),
        ] {
            for size in [(80, 24), (120, 40), (160, 48)] {
                let mut c = Console::on(one_application_down(state.clone(), error, ran));
                c.press(opened_by);
                let red = c.screen_of(size.0, size.1);
                assert!(red.contains("1 alert"), "{view} {size:?}\n{red}");
                assert!(keys.chars().count() <= MOST_KEYS);
                c.press(keys);
                let screen = c.screen_of(size.0, size.1);
                assert!(
                    details(&screen).contains(error),
                    "{error:?} is not shown from {view} by {keys:?} at {size:?}\n{screen}"
                );
            }
        }
    }
}
