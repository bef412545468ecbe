//! A stranger who reads the log of certificates: asks for the pages of a new site five times a second, from the first
//! second, and looks for an installer that anybody may finish.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a page is asked for.
const PAUSE: Duration = Duration::from_millis(200);

/// What one who asks for these pages finds.
#[derive(Default)]
struct Found {
    /// How often it was asked.
    asked: usize,
    /// How often a page was answered by the application itself (200).
    served: usize,
    /// Answers that are an installer.
    open: Vec<String>,
}

/// Asks until it is told to end.
pub(crate) struct Stranger {
    ends: Arc<AtomicBool>,
    found: Arc<Mutex<Found>>,
    asking: JoinHandle<()>,
    begun: Instant,
}

/// Whether the answer to a path (headers and body) is an open installer.
pub(crate) type IsOpen = fn(&str, &str) -> bool;

impl Stranger {
    /// Asks the edge at `address` for the paths of a site one after the other. A slow answer holds up no other: each has a
    /// thread, for five seconds at most. Certificates are not looked at: there is a time before there is one.
    pub(crate) fn comes(
        host: &'static str,
        address: String,
        paths: &'static [&'static str],
        is_open: IsOpen,
    ) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let found = Arc::new(Mutex::new(Found::default()));
        let begun = Instant::now();
        let (until, all) = (Arc::clone(&ends), Arc::clone(&found));
        let asking = std::thread::spawn(move || {
            let resolve = format!("{host}:443:{address}");
            let mut waiting = Vec::new();
            for (number, path) in (1u32..).zip(paths.iter().cycle()) {
                if until.load(Ordering::Relaxed) {
                    break;
                }
                let (resolve, found) = (resolve.clone(), Arc::clone(&all));
                waiting.retain(|w: &JoinHandle<()>| !w.is_finished());
                waiting.push(std::thread::spawn(move || {
                    let answer = ask(host, &resolve, path);
                    let mut found = found.lock().expect("a lock");
                    found.asked += 1;
                    found.served += usize::from(answer.starts_with("HTTP/2 200"));
                    if is_open(path, &answer) {
                        found.open.push(format!("{path}: {answer}"));
                    }
                }));
                // By the clock: a machine that stood still asks more often afterwards.
                std::thread::sleep((PAUSE * number).saturating_sub(begun.elapsed()));
            }
            for waiting in waiting {
                waiting.join().expect("it was asked");
            }
        });
        Self {
            ends,
            found,
            asking,
            begun,
        }
    }

    /// It asked all the time, was served, and never found an installer.
    pub(crate) fn finds_nothing(self) {
        let seconds = self.begun.elapsed().as_secs();
        self.ends.store(true, Ordering::Relaxed);
        self.asking.join().expect("it asked");
        let found = self.found.lock().expect("a lock");
        let (asked, served, open) = (found.asked, found.served, &found.open);
        eprintln!("a stranger asked {asked} times in {seconds} s: {served} pages, no installer");
        let wanted = usize::try_from(seconds).expect("a number") * 4;
        assert!(open.is_empty(), "{} open: {}", open.len(), open[0]);
        assert!(asked >= wanted, "{asked} in {seconds} s");
        // It looked where something is.
        assert!(served > 20, "{served} of {asked}");
    }
}

/// Headers and body, or nothing where nobody answers.
fn ask(host: &str, resolve: &str, path: &str) -> String {
    let out = Command::new("curl")
        .args(["-s", "-i", "--insecure", "--max-time", "5", "--resolve"])
        .args([resolve, &format!("https://{host}{path}")])
        .output()
        .expect("curl");
    String::from_utf8_lossy(&out.stdout).into_owned()
}
