//! Lists sorted by hand.

use matou::model::{Datum, Metrics, Update, UpdateState};
use matou::ui::Msg;
use matou::ui::fixture::{NOW, example_fleet};

use crate::Console;

/// Whether these stand below each other in this order.
#[track_caller]
fn in_order(c: &mut Console, names: &[&str]) {
    let screen = c.screen();
    let place = |name: &&str| {
        let found = screen.find(&format!("{name} "));
        found.unwrap_or_else(|| panic!("{name} is not on\n{screen}"))
    };
    let places: Vec<_> = names.iter().map(place).collect();
    assert!(
        places.is_sorted(),
        "{names:?} are in another order\n{screen}"
    );
}

#[test]
fn nodes_are_sorted_by_what_they_use_and_follow_it() {
    let mut c = Console::new();
    c.press("1o");
    c.shows("1 Nodes ↑name");
    in_order(&mut c, &["│● master", "│◐ worker-01", "│○ worker-02"]);
    c.press("O");
    c.shows("1 Nodes ↓name");
    in_order(&mut c, &["│○ worker-02", "│◐ worker-01", "│● master"]);
    c.press("o");
    // Of a measure the largest is looked for; of a node that is lost nothing is known.
    c.shows("1 Nodes ↓cpu");
    in_order(&mut c, &["│● master", "│◐ worker-01", "│○ worker-02"]);
    let fleet = example_fleet();
    let load = *fleet.nodes[1].metrics.value().expect("read");
    let reading = Ok(Metrics { cpu: 99.0, ..load });
    let node = "worker-01".into();
    let datum = Datum::Metrics { node, reading };
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    in_order(&mut c, &["│◐ worker-01", "│● master", "│○ worker-02"]);
    c.press("ooo");
    c.shows("1 Nodes ─");
    in_order(&mut c, &["│● master", "│◐ worker-01", "│○ worker-02"]);
    c.press("O");
    c.shows("o sorts by a column");
}

#[test]
fn what_is_down_comes_first_until_the_list_is_sorted_by_hand() {
    let mut swarm = example_fleet().swarm.value().expect("read").clone();
    swarm.services.retain(|s| s.name != "shop_db");
    for service in &mut swarm.services {
        if service.name == "shop_web" {
            service.running = 0;
            service.updated_at = Some(NOW);
        }
    }
    let mut c = Console::new();
    let datum = Datum::Swarm(Ok(swarm));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    c.press("2");
    in_order(&mut c, &["○ ▸ shop", "● ▸ blog"]);
    c.press("o");
    c.shows("2 Services ↑name");
    in_order(&mut c, &["● ▸ blog", "○ ▸ shop"]);
    // What is opened goes with its application; the selection stays.
    c.press("g\no");
    c.shows("2 Services ↓tasks");
    in_order(&mut c, &["● ▾ blog", "  ● ▸ web", "○ ▸ shop"]);
    c.press("o");
    c.shows("2 Services ↑updated");
    in_order(&mut c, &["○ ▸ shop", "● ▾ blog", "  ● ▸ web"]);
    c.press("o");
    c.shows("2 Services ─");
    in_order(&mut c, &["○ ▸ shop", "● ▾ blog"]);
}

#[test]
fn what_is_partly_well_comes_between_and_stays_where_it_is_while_it_is_updated() {
    let mut swarm = example_fleet().swarm.value().expect("read").clone();
    let mut down = swarm.services[0].clone();
    (down.id, down.name) = ("s-zoo".into(), "zoo_web".into());
    down.stack = Some("zoo".into());
    down.running = 0;
    swarm.services.push(down);
    let mut c = Console::new();
    let datum = Datum::Swarm(Ok(swarm.clone()));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    c.press("2");
    in_order(&mut c, &["○ ▸ zoo", "◐ ▸ shop", "● ▸ blog"]);
    for service in &mut swarm.services {
        if service.name == "shop_web" {
            service.update = Some((UpdateState::Updating, String::new()));
        }
    }
    let datum = Datum::Swarm(Ok(swarm));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    in_order(&mut c, &["○ ▸ zoo", "● ▸ blog", "◐ ▸ shop"]);
    // Certificates that end soon too; nodes keep their places.
    in_order(&mut c, &["◐ shop.example.org", "● blog.example.org"]);
    in_order(&mut c, &["│● master", "│◐ worker-01", "│○ worker-02"]);
}

#[test]
fn every_pane_has_its_columns() {
    for (keys, title, order) in [
        ("3oo", "3 Volumes ↑node", ["● blog_web-data", "· old_data"]),
        ("3oO", "3 Volumes ↓name", ["· old_data", "● blog_web-data"]),
        (
            "4oo",
            "4 Certificates ↑days left",
            ["◐ shop.example.org", "● blog.example.org"],
        ),
        ("5oo", "5 Backups ↑age", ["● ▸ blog", "● ▸ shop"]),
        ("5ooO", "5 Backups ↓age", ["● ▸ shop", "● ▸ blog"]),
        ("5ooo", "5 Backups ↓snapshots", ["● ▸ blog", "● ▸ shop"]),
        ("5oooo", "5 Backups ↓size", ["repository main", "● ▸ blog"]),
    ] {
        let mut c = Console::new();
        c.press(keys);
        c.shows(title);
        let pane = c.screen();
        let from = pane.find(title).expect("its title");
        let places = order.map(|name| pane[from..].find(&format!("{name} ")));
        assert!(
            places[0].is_some() && places.is_sorted(),
            "{order:?}\n{pane}"
        );
    }
}
