//! Jobs that ended: of this console, of others, of the command line.

use std::time::Duration;

use matou::job::{JobOutcome, PastCommand, PastJob};
use matou::ui::fixture::NOW;
use matou::ui::msg::Ticket;
use matou::ui::{Effect, Msg};

use crate::Console;

fn past_job(title: &str, outcome: Option<JobOutcome>) -> PastJob {
    PastJob {
        title: title.into(),
        operator: "marie".into(),
        began: NOW,
        took: Some(Duration::from_secs(61)),
        outcome,
        output: vec!["n1: ghost: pulling ghost:6".into()],
        commands: vec![PastCommand {
            at: NOW,
            node: "n1".into(),
            command: "docker stack deploy ghost".into(),
            took: Duration::from_millis(7),
            result: Ok(3),
        }],
    }
}

fn open(c: &mut Console, keys: &str) -> Ticket {
    let effects = c.press(keys);
    let [Effect::ReadPastJobs { ticket }] = effects[..] else {
        panic!("{effects:?}");
    };
    c.shows("reading the journal");
    ticket
}

#[test]
fn a_job_of_yesterday_is_found_with_its_reason_output_and_commands() {
    let mut c = Console::new();
    let ticket = open(&mut c, "H");
    let reason = "no such image".into();
    let found = Ok(vec![
        past_job("back up notes", Some(JobOutcome::Done { changed: 1 })),
        past_job("deploy ghost", Some(JobOutcome::Failed { reason })),
    ]);
    c.take(Msg::PastJobs { ticket, found });
    c.shows("back up notes");
    c.press("/ghost\n");
    c.shows("deploy ghost");
    c.hides("back up notes");
    c.press("\n");
    for shown in [
        "no such image",
        "n1: ghost: pulling ghost:6",
        "docker stack deploy ghost",
        "exit code 3",
        "marie",
    ] {
        c.shows(shown);
    }
    // One place back at a time: the list as it was filtered, all of it, the panes.
    c.press("\u{1b}");
    c.hides("back up notes");
    c.press("\u{1b}");
    c.shows("back up notes");
    c.press("\u{1b}");
    c.hides("deploy ghost");
}

#[test]
fn it_opens_from_the_dashboard_and_the_palette_and_says_why_it_can_not() {
    let mut c = Console::new();
    let ticket = open(&mut c, "0:history\n");
    let found = Err("journal.jsonl: Permission denied".into());
    c.take(Msg::PastJobs { ticket, found });
    c.shows("Permission denied");
    assert!(c.press("\n").is_empty());
    // An answer to another question changes nothing.
    let found = Ok(vec![past_job("late", None)]);
    let ticket = Ticket(u64::MAX);
    c.take(Msg::PastJobs { ticket, found });
    c.hides("late");
}
