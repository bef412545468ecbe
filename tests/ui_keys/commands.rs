//! The operator's own commands: their keys, what they are started with, and what is refused.

use matou::job::{JobEvent, JobId, JobOutcome, OutputStream};
use matou::model::{Datum, Fleet, Update};
use matou::ui::fixture::{self, NOW, THEME};
use matou::ui::keymap::KEY_TABLE;
use matou::ui::{CommandCall, Effect, Msg};

use crate::Console;

const COMMANDS: &str = r#"
[[commands]]
key = "ctrl-g"
description = "where its domain leads"
panes = ["applications", "services"]
command = ["dig", "+short", "{domain}", "a b", "-{app}-"]

[[commands]]
key = "ctrl-g"
description = "ask the node"
panes = ["nodes"]
command = ["ssh", "{node}", "uptime"]
run = "terminal"
confirm = true

[[commands]]
description = "check the fleet"
command = ["matou", "--config", "{config}", "check"]
"#;

fn console_of(fleet: Fleet, read_only: bool) -> Console {
    let app = fixture::example_app_with_commands(fleet, THEME, COMMANDS, read_only);
    let mut console = Console(app.expect("a right configuration"));
    console.screen();
    console
}

fn console() -> Console {
    console_of(fixture::example_fleet(), false)
}

#[track_caller]
fn called(effects: &[Effect]) -> CommandCall {
    match effects {
        [Effect::RunCommand(call)] => call.clone(),
        other => panic!("no command was started: {other:?}"),
    }
}

#[test]
fn a_key_starts_what_fits_the_selected_line_each_value_within_its_argument() {
    let mut c = console();
    c.press("2G");
    let call = called(&c.control('g'));
    let expected = ["dig", "+short", "blog.example.org", "a b", "-blog-"];
    assert_eq!(call.argv, expected);
    // Its output is a job's.
    let id = JobId(7);
    c.take(Msg::CommandStarted { id, call });
    c.shows("nothing is printed yet");
    c.take(Msg::Job {
        id,
        event: JobEvent::Line {
            node: "here".into(),
            step: String::new(),
            stream: OutputStream::Stdout,
            text: "192.0.2.7".into(),
        },
    });
    c.shows("here  192.0.2.7");
    let outcome = JobOutcome::Failed {
        reason: "it ended with exit status: 9".into(),
    };
    let took = std::time::Duration::from_secs(1);
    let event = JobEvent::Finished { outcome, took };
    c.take(Msg::Job { id, event });
    c.shows("failed: it ended with exit status: 9");
    c.press("\u{1b}J");
    c.shows("where its domain leads");
    // Again only after a question.
    assert_eq!(c.press("R"), []);
    c.shows("dig +short blog.example.org 'a b' -blog-");
    called(&c.press("y"));
}

#[test]
fn a_command_that_asks_runs_after_y_and_the_same_key_is_another_ones_elsewhere() {
    let mut c = console();
    c.press("1g");
    for back in ["n", "\u{1b}", "q"] {
        assert_eq!(c.control('g'), []);
        c.shows("ssh master uptime");
        c.shows("Run it in this terminal? y / n");
        assert_eq!(c.press(back), []);
        c.hides("ssh master uptime");
    }
    c.control('g');
    assert_eq!(called(&c.press("y")).argv, ["ssh", "master", "uptime"]);
    // For volumes there is none.
    c.press("3g");
    assert_eq!(c.control('g'), []);
    c.shows("where its domain leads is for applications, services: select one first");
}

#[test]
fn help_and_palette_have_them() {
    let mut c = console();
    c.press("?/domain leads");
    c.shows("Own commands");
    c.shows("Ctrl-g           where its domain leads");
    c.press("\u{1b}\u{1b}2G");
    let call = called(&c.press(":check the fleet\n"));
    let expected = ["matou", "--config", "/fleet/config.toml", "check"];
    assert_eq!(call.argv, expected);
}

#[test]
fn a_value_that_is_no_plain_name_starts_nothing() {
    for evil in [
        "a;reboot",
        "$(id)",
        "-oProxyCommand=x",
        "a b",
        "`id`",
        "a\n",
        "",
    ] {
        let fleet = fixture::example_fleet();
        let mut swarm = fleet.swarm.value().expect("read").clone();
        swarm.services[0].domains = vec![evil.into()];
        let mut c = console_of(fleet, false);
        let datum = Datum::Swarm(Ok(swarm));
        c.take(Msg::Fleet(Update { at: NOW, datum }));
        c.press("2G");
        assert_eq!(c.control('g'), [], "{evil:?}");
        c.shows("where its domain leads is not run: {domain} is");
    }
}

#[test]
fn without_the_thing_it_needs_a_command_says_so() {
    let fleet = fixture::example_fleet();
    let mut swarm = fleet.swarm.value().expect("read").clone();
    swarm.services[0].domains.clear();
    let mut c = console_of(fleet, false);
    let datum = Datum::Swarm(Ok(swarm));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    c.press("2G");
    assert_eq!(c.control('g'), []);
    c.shows("where its domain leads is not run: nothing here has a {domain}");
}

#[test]
fn a_read_only_console_runs_none() {
    let mut c = console_of(fixture::example_fleet(), true);
    for pane in ["1g", "2g"] {
        c.press(pane);
        assert_eq!(c.control('g'), []);
        c.shows("this console is read-only: no command is run");
    }
    assert_eq!(c.press(":check the fleet\n"), []);
    c.shows("this console is read-only: no command is run");
}

fn refusal(commands: &str) -> String {
    let fleet = fixture::example_fleet();
    match fixture::example_app_with_commands(fleet, THEME, commands, false) {
        Ok(_) => panic!("taken:\n{commands}"),
        Err(why) => why.to_string(),
    }
}

#[test]
fn no_built_in_key_is_taken_and_the_error_says_what_it_does() {
    for binding in KEY_TABLE {
        for key in binding.keys {
            let table =
                format!("[[commands]]\nkey = {key:?}\ndescription = \"x\"\ncommand = [\"true\"]\n");
            let why = refusal(&table);
            let name = binding.name;
            let said = format!("{key:?} is the key of {name:?} already: {}", binding.help);
            assert!(why.contains(&said), "{why}");
            assert!(why.starts_with("/fleet/config.toml"), "{why}");
        }
    }
    let twice = "[[commands]]\nkey = \"f9\"\ndescription = \"one\"\ncommand = [\"true\"]\n\
        [[commands]]\nkey = \"f9\"\ndescription = \"two\"\npanes = [\"nodes\"]\ncommand = [\"true\"]\n";
    assert!(refusal(twice).contains("\"f9\" is the key of the command \"one\" already"));
}

#[test]
fn a_long_command_is_asked_for_on_every_size_with_its_question_in_sight() {
    let long = format!(
        "[[commands]]\nkey = \"f9\"\ndescription = {:?}\nconfirm = true\ncommand = [\"echo\", {:?}]\n",
        "a description that is longer than the smallest screen is wide",
        "word ".repeat(2000)
    );
    let fleet = fixture::example_fleet();
    let app = fixture::example_app_with_commands(fleet, THEME, &long, false);
    let mut c = Console(app.expect("a right configuration"));
    c.key(
        crossterm::event::KeyCode::F(9),
        crossterm::event::KeyModifiers::NONE,
    );
    for (width, height) in [(40, 12), (80, 24), (120, 40), (200, 60)] {
        let screen = c.screen_of(width, height);
        assert!(screen.contains("Run it on this machine? y / n"), "{screen}");
        assert!(screen.contains("more lines"), "{screen}");
        let title = match width {
            40 => "a description that is longer",
            _ => "a description that is longer than the smallest screen is wide ",
        };
        let top = screen.lines().find(|line| line.contains(title));
        let top = top.unwrap_or_else(|| panic!("no title\n{screen}"));
        assert!(width > 40 || top.contains('…'), "{screen}");
    }
}
