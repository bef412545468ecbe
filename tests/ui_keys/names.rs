//! Names of applications: in the form of a deploy, and of what runs.

use matou::job::{JobEvent, JobId, JobOutcome};
use matou::ops::Request;
use matou::stack::{Catalogue, CatalogueEntry, NameChanges, WwwName};
use matou::ui::Msg;

use crate::{Console, app_name, asked};

fn ghost() -> CatalogueEntry {
    let entries = Catalogue::load(None).expect("a catalogue").list_entries();
    let found = entries.into_iter().find(|e| e.name == "ghost");
    found.expect("ghost")
}

/// The form of Ghost, in its field of aliases.
fn at_aliases() -> Console {
    let mut c = Console::new();
    c.press("dghost\n");
    c.shows("Deploy Ghost");
    for variable in &ghost().variables {
        c.press("\t");
        if variable.name == "DOMAIN" {
            c.press("blog.example.org");
        } else if variable.required && variable.default.is_none() {
            c.press("me@example.org");
        }
    }
    c.press("\t");
    c
}

#[test]
fn a_deploy_asks_for_the_names_that_the_command_line_takes() {
    let mut c = at_aliases();
    c.shows("names under which it answers, too");
    // It is told while it is typed, and again when the field is left.
    c.press("blog.example.net, *.example.com");
    c.shows("stands for many names");
    c.press("\t");
    c.shows("stands for many names");
    c.press(&"\u{8}".repeat("*.example.com".len()));
    c.press("news.example.com\t");
    c.shows("names that lead to its main one");
    c.press("old.example.org\t");
    // The space bar goes from word to word, and a wrong one is told.
    for word in ["redirect", "answer", "none"] {
        c.press(" ");
        c.shows(&format!("www             {word}"));
    }
    c.press("x");
    c.shows("expected redirect, answer or none");
    c.press("\u{8}\u{8}\u{8}\u{8}\u{8}redirect");
    let (_, request) = asked(&c.press("\n"));
    let Request::Deploy { names, .. } = &request else {
        panic!("{request:?}");
    };
    let wanted = NameChanges {
        aliases: vec!["blog.example.net".into(), "news.example.com".into()],
        redirects: vec!["old.example.org".into()],
        www: Some(WwwName::Redirect),
        ..NameChanges::default()
    };
    assert_eq!(**names, wanted);
    // A job that failed gives its values back.
    let id = JobId(1);
    c.take(Msg::JobStarted { id, request });
    let outcome = JobOutcome::Failed {
        reason: "no".into(),
    };
    let took = std::time::Duration::ZERO;
    let event = JobEvent::Finished { outcome, took };
    c.take(Msg::Job { id, event });
    c.press("\u{1b}JE");
    c.shows("Deploy Ghost");
    c.shows("blog.example.net, news.example.com");
    c.shows("old.example.org");
    c.shows("www             redirect");
}

#[test]
fn a_stack_without_a_domain_is_asked_for_no_names() {
    let mut c = Console::new();
    c.press("dhello\n");
    c.shows("Deploy Hello");
    c.hides("redirects");
}

#[test]
fn names_of_what_runs_are_changed_with_one_key() {
    let form = || {
        let mut c = Console::new();
        c.press("2jn");
        c.shows("Names of blog");
        c.shows("it has blog.example.org");
        c
    };
    let mut c = form();
    c.press("\talso.example.org\t\t\told.example.org");
    let (_, request) = asked(&c.press("\n"));
    let Request::Redeploy { app, names, .. } = request else {
        panic!("{request:?}");
    };
    assert_eq!(app, app_name("blog"));
    let wanted = NameChanges {
        aliases: vec!["also.example.org".into()],
        dropped: vec!["old.example.org".into()],
        ..NameChanges::default()
    };
    assert_eq!(*names, wanted);
    // Another main name is a job of its own.
    let mut c = form();
    c.press("news.example.org\t\t\t\t");
    let (_, request) = asked(&c.press("\n"));
    let rename = Request::Rename {
        app: app_name("blog"),
        name: "news.example.org".into(),
        forget: false,
    };
    assert_eq!(request, rename);
    let mut c = form();
    c.press("news.example.org\talso.example.org\t\t\t");
    assert_eq!(c.press("\n"), []);
    c.shows("another main name is a job of its own");
    let mut c = form();
    c.press("a.example.org b.example.org\t\t\t\t");
    assert_eq!(c.press("\n"), []);
    c.shows("there is one main name");
    let mut c = form();
    c.press("\t\t\t\t");
    assert_eq!(c.press("\n"), []);
    c.shows("nothing is to change");
}
