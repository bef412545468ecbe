//! Visitors of a site behind the edge: more than fifty requests a second, over connections that are kept, each
//! judged. What they saw is told at the end, and how many a second came through.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

/// How many requests a second are to come through, on a machine that has time for them.
const WANTED: u32 = 50;

/// How many they send a second: some wait while a container is replaced.
const RATE: u32 = 75;

/// What they saw.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    /// How often each sort of answer came: `page`, or a path with the application's own text.
    pub sorts: BTreeMap<String, u32>,
    /// The first of those that nobody may see, with the second in which they came.
    pub bad: Vec<String>,
    /// When each sort came first.
    pub order: Vec<(f64, String)>,
    pub seconds: f64,
}

/// They ask until [`Visitors::leave`].
pub(crate) struct Visitors(Child);

impl Visitors {
    /// Sends them to the paths of `host`, which the edge at `address` serves. They trust the authority
    /// of `root`.
    pub(crate) fn come(address: &str, host: &str, root: &Path, paths: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/visitors.py");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "python3"])
            .arg(script)
            .args([address, host])
            .arg(root)
            .arg(RATE.to_string())
            .args(paths)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        Self(child)
    }

    /// Sends them away; tells what they saw, and the rate that it proves something of. On a busy machine it
    /// may prove less than is wanted, and says so.
    pub(crate) fn leave(mut self) -> Seen {
        drop(self.0.stdin.take());
        let out = self.0.wait_with_output().expect("python3 ends");
        let seen: Seen = serde_json::from_slice(&out.stdout).expect("what they saw");
        let all: u32 = seen.sorts.values().sum();
        let rate = f64::from(all) / seen.seconds.max(0.1);
        let patience = super::patience();
        let claim = match (patience, rate >= f64::from(WANTED)) {
            (_, true) => "proven",
            (1, false) => "too few",
            (_, false) => "NOT proven: the machine is busy",
        };
        eprintln!(
            "visitors: {all} requests in {} s, {rate:.1} a second; {WANTED} a second: {claim} (patience {patience}): {seen:?}",
            seen.seconds
        );
        // Half of it at least, and less only on a busy machine.
        assert!(
            rate * f64::from(patience) >= f64::from(WANTED) / 2.0,
            "only {rate:.1} requests a second: {seen:?}"
        );
        seen
    }
}

impl Seen {
    /// Nobody saw anything but the page and the application.
    pub(crate) fn only_good(&self, when: &str) {
        assert!(self.bad.is_empty(), "{when}: {self:?}");
    }

    /// How often the answer was the page.
    pub(crate) fn pages(&self) -> u32 {
        self.sorts.get("page").copied().unwrap_or_default()
    }

    /// Whether an answer of the application with this text came.
    pub(crate) fn saw(&self, text: &str) -> bool {
        self.sorts.keys().any(|sort| sort.contains(text))
    }
}
