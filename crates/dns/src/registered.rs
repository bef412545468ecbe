//! When the domains of names end, asked once a day and kept in a file. Which part of a name somebody registered is
//! found by asking: `co.uk` is none, `example.co.uk` is one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use matou_base::files::{PRIVATE_MODE, read_text, write_atomically};
use matou_i18n::tr;
use matou_model::{DomainExpiry, RegisteredDomain};
use serde::{Deserialize, Serialize};

use super::rdap::{RdapAnswer, RdapClient, RdapServers, RdapTrouble, find_server};

/// Requests that are made at most in one look; the rest waits for the next one.
const MOST_ASKED: usize = 30;

/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of the file.
const LARGEST: u64 = 8 << 20;

/// Names that are remembered.
const MOST_KEPT: usize = 5000;

/// Labels of a name that are tried at most.
const MOST_LABELS: usize = 5;

/// How long IANA's list is good.
const SERVERS_LAST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How long it is not asked for again when it could not be read.
const SERVERS_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// Ends of names that nobody registers (RFC 2606, 6761, 6762, 7686, 8375), and what is used as such.
const SPECIAL_ENDS: [&str; 14] = [
    "test",
    "example",
    "invalid",
    "localhost",
    "local",
    "onion",
    "internal",
    "arpa",
    "alt",
    "lan",
    "home",
    "example.com",
    "example.net",
    "example.org",
];

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RdapSource {
    /// The registries, by IANA's list.
    Registries,
    /// This server alone, by its base address.
    Server(String),
}

/// What is kept of one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptAnswer {
    asked: Timestamp,
    answer: RdapAnswer,
    /// What was said last of its end, while it can't be asked, and when its registry knows it no more.
    known: Option<DomainExpiry>,
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct RdapMemory {
    /// Whose answers they are, empty for the registries.
    #[serde(default)]
    source: String,
    #[serde(default)]
    servers: RdapServers,
    #[serde(default)]
    servers_read: Option<Timestamp>,
    #[serde(default)]
    servers_tried: Option<Timestamp>,
    #[serde(default)]
    answers: BTreeMap<String, KeptAnswer>,
}

/// What is known of the domain that a name lies in.
enum Lookup {
    Known(String, DomainExpiry),
    Unknown(String, String),
    /// This one has to be asked for first.
    Open(String),
}

/// Knows when domains end.
#[derive(Debug, Clone)]
pub struct DomainRegistry {
    file: PathBuf,
    source: RdapSource,
}

impl DomainRegistry {
    /// Keeps what it learns in `file`.
    pub fn new(file: PathBuf, source: RdapSource) -> Self {
        Self { file, source }
    }

    /// Tells what is known of the domains of `names`, each with its application. Nobody is asked.
    pub fn list_domains(&self, names: &BTreeMap<String, String>) -> Vec<RegisteredDomain> {
        let memory = self.load();
        let mut found: BTreeMap<String, RegisteredDomain> = BTreeMap::new();
        for (name, app) in self.askable_names(names) {
            let (domain, expiry) = match memory.look_up(&name, None) {
                Lookup::Known(domain, expiry) => (domain, Ok(expiry)),
                Lookup::Unknown(domain, why) => (domain, Err(why.into())),
                Lookup::Open(domain) => (domain, Err(tr!("it was not asked for yet").into())),
            };
            let entry = found
                .entry(domain.clone())
                .or_insert_with(|| RegisteredDomain {
                    name: domain,
                    apps: Vec::new(),
                    expiry,
                });
            if !app.is_empty() && !entry.apps.contains(app) {
                entry.apps.push(app.clone());
            }
        }
        found.into_values().collect()
    }

    /// Asks for what is not known or older than a day; it blocks. Where nothing can be kept nobody is asked, for it
    /// would be with every look.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn refresh(&self, names: &BTreeMap<String, String>, now: Timestamp) -> io::Result<()> {
        let mut memory = self.load();
        let names: Vec<String> = self.askable_names(names).map(|(name, _)| name).collect();
        let is_open = |name: &String| matches!(memory.look_up(name, Some(now)), Lookup::Open(_));
        if !names.iter().any(is_open) {
            return Ok(());
        }
        self.save(&memory)?;
        let mut asking = Asking {
            client: RdapClient::new(self.source == RdapSource::Registries),
            source: &self.source,
            began: Instant::now(),
            asked: 0,
            silent: BTreeSet::new(),
        };
        for name in names {
            while let Lookup::Open(domain) = memory.look_up(&name, Some(now)) {
                let Some(answer) = asking.ask(&mut memory, &domain, now) else {
                    break;
                };
                memory.keep(domain, answer, now);
            }
        }
        memory.forget(now);
        self.save(&memory)
    }

    /// The names that somebody may have registered, as registries write them.
    fn askable_names<'a>(
        &self,
        names: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = (String, &'a String)> {
        let all_are_asked = self.source != RdapSource::Registries;
        names.iter().filter_map(move |(name, app)| {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let name = name.strip_prefix("*.").unwrap_or(&name);
            let is_special = |end: &&str| {
                name.strip_suffix(*end)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            let is_special = SPECIAL_ENDS.iter().any(is_special);
            (is_host_name(name) && (all_are_asked || !is_special)).then(|| (name.to_owned(), app))
        })
    }

    /// Loads the file; nothing when there is none that can be read, or when others were asked then.
    fn load(&self) -> RdapMemory {
        let text = read_text(&self.file, LARGEST).unwrap_or_default();
        let memory: RdapMemory = serde_json::from_str(&text).unwrap_or_default();
        let source = match &self.source {
            RdapSource::Registries => String::new(),
            RdapSource::Server(url) => url.clone(),
        };
        match memory.source == source {
            true => memory,
            false => RdapMemory {
                source,
                ..RdapMemory::default()
            },
        }
    }

    fn save(&self, memory: &RdapMemory) -> io::Result<()> {
        let text = serde_json::to_vec(memory)?;
        write_atomically(&self.file, &text, PRIVATE_MODE)
    }
}

/// Whether it is a name of at least two labels, no address.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let end = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(is_label)
        && !end.bytes().all(|b| b.is_ascii_digit())
}

/// The parts of a name that may be registered, the shortest first.
fn list_candidates(name: &str) -> Vec<&str> {
    let dots: Vec<usize> = name.match_indices('.').map(|(at, _)| at).collect();
    let starts = dots.iter().rev().skip(1).map(|dot| dot + 1);
    let all = starts.map(|start| &name[start..]).chain([name]);
    all.take(MOST_LABELS - 1).collect()
}

impl RdapMemory {
    /// Finds the domain that `name` lies in. With a time, what is too old by then has to be asked for again.
    fn look_up(&self, name: &str, now: Option<Timestamp>) -> Lookup {
        let mut silent = None;
        for candidate in list_candidates(name) {
            let kept = self.answers.get(candidate);
            let Some(kept) = kept.filter(|k| now.is_none_or(|now| k.is_good(now))) else {
                return Lookup::Open(candidate.to_owned());
            };
            match (&kept.answer, kept.known) {
                (RdapAnswer::NotRegistered, None) => {}
                (RdapAnswer::Registered { expires: None, .. }, _) => silent = Some(candidate),
                (_, Some(expiry)) => return Lookup::Known(candidate.to_owned(), expiry),
                (RdapAnswer::Failed(trouble), None) => {
                    let why = describe_trouble(*trouble);
                    return Lookup::Unknown(candidate.to_owned(), why);
                }
                (RdapAnswer::Registered { .. }, None) => {}
            }
        }
        match silent {
            Some(domain) => Lookup::Unknown(
                domain.to_owned(),
                tr!("its registry does not say when it ends").to_owned(),
            ),
            None => {
                let why = tr!("no registry knows it").to_owned();
                Lookup::Unknown(name.to_owned(), why)
            }
        }
    }

    fn keep(&mut self, domain: String, answer: RdapAnswer, now: Timestamp) {
        let before = self.answers.get(&domain).and_then(|k| k.known);
        let known = match &answer {
            RdapAnswer::Registered { expires, lapsing } => expires.map(|at| DomainExpiry {
                at,
                lapsing: *lapsing,
                gone: false,
                read: now,
            }),
            // It was somebody's: that anybody may have it now is not the end of the matter.
            RdapAnswer::NotRegistered => before.map(|known| DomainExpiry {
                gone: true,
                read: now,
                ..known
            }),
            RdapAnswer::Failed(_) => before,
        };
        let kept = KeptAnswer {
            asked: now,
            answer,
            known,
        };
        self.answers.insert(domain, kept);
    }

    /// Forgets what nobody asked for in a month.
    fn forget(&mut self, now: Timestamp) {
        let horizon = now - SignedDuration::from_hours(30 * 24);
        self.answers.retain(|_, kept| kept.asked > horizon);
        while self.answers.len() > MOST_KEPT {
            self.answers.pop_last();
        }
    }
}

impl KeptAnswer {
    /// Whether it need not be asked for again; what is of the future was kept by a clock that was wrong.
    fn is_good(&self, now: Timestamp) -> bool {
        let hours = match &self.answer {
            RdapAnswer::Registered { .. } => 24,
            // Of one that was registered it may be a mistake.
            RdapAnswer::NotRegistered if self.known.is_some() => 1,
            RdapAnswer::NotRegistered => 7 * 24,
            // Who wants fewer requests gets them.
            RdapAnswer::Failed(RdapTrouble::TooMany | RdapTrouble::NoServer) => 24,
            RdapAnswer::Failed(_) => 1,
        };
        let age = now.duration_since(self.asked);
        age < SignedDuration::from_hours(hours) && age > SignedDuration::from_hours(-1)
    }
}

/// One look at the registries.
struct Asking<'a> {
    client: RdapClient,
    source: &'a RdapSource,
    began: Instant,
    asked: usize,
    /// Servers that did not answer, or want fewer requests, in this look.
    silent: BTreeSet<String>,
}

impl Asking<'_> {
    /// Asks for one name; `None` when enough was asked for this time.
    fn ask(&mut self, memory: &mut RdapMemory, domain: &str, now: Timestamp) -> Option<RdapAnswer> {
        if self.began.elapsed() > PATIENCE || self.asked >= MOST_ASKED {
            return None;
        }
        let server = match self.source {
            RdapSource::Server(url) => url.clone(),
            RdapSource::Registries => match self.find_registry(memory, domain, now) {
                Ok(server) => server,
                Err(trouble) => return Some(RdapAnswer::Failed(trouble)),
            },
        };
        if self.silent.contains(&server) {
            return Some(RdapAnswer::Failed(RdapTrouble::Unreachable));
        }
        self.asked += 1;
        let answer = self.client.ask_domain(&server, domain);
        if matches!(&answer, RdapAnswer::Failed(trouble) if trouble.is_of_server()) {
            self.silent.insert(server);
        }
        Some(answer)
    }

    /// Finds the server of a registry; IANA's list is read again every week.
    fn find_registry(
        &self,
        memory: &mut RdapMemory,
        domain: &str,
        now: Timestamp,
    ) -> Result<String, RdapTrouble> {
        let is_within = |at: Option<Timestamp>, most: SignedDuration| {
            at.is_some_and(|at| now.duration_since(at).abs() < most)
        };
        if !is_within(memory.servers_read, SERVERS_LAST)
            && !is_within(memory.servers_tried, SERVERS_PAUSE)
        {
            memory.servers_tried = Some(now);
            if let Ok(servers) = self.client.read_servers() {
                memory.servers = servers;
                memory.servers_read = Some(now);
            }
        }
        if memory.servers.is_empty() {
            return Err(RdapTrouble::Unreachable);
        }
        let server = find_server(&memory.servers, domain);
        server.map(str::to_owned).ok_or(RdapTrouble::NoServer)
    }
}

fn describe_trouble(trouble: RdapTrouble) -> String {
    match trouble {
        RdapTrouble::NoServer => {
            tr!("its registry has no RDAP: its registrar says when it ends").to_owned()
        }
        RdapTrouble::Unreachable => tr!("its registry does not answer").to_owned(),
        RdapTrouble::TooMany => tr!("its registry wants fewer requests").to_owned(),
        RdapTrouble::Refused(status) => tr!("its registry answers HTTP {status}"),
        RdapTrouble::Wrong => tr!("its registry's answer is not understood").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    const EXAMPLE: &str = include_str!("../../../tests/files/rdap/domain.json");

    /// The answer of an RDAP server to a path, in HTTP.
    fn answer(path: &str) -> Vec<u8> {
        let with = |status: &str, headers: &str, body: &str| {
            let length = body.len();
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
                .into_bytes()
        };
        let domain = |name: &str, end: &str| {
            let body = EXAMPLE
                .replace("xn--fo-5ja.example", name)
                .replace("2016-12-31T23:59:59Z", end);
            with("200 OK", "Content-Type: application/rdap+json\r\n", &body)
        };
        match path {
            "/domain/xn--fo-5ja.example" => domain("xn--fo-5ja.example", "2016-12-31T23:59:59Z"),
            "/domain/shop.co.uk" => domain("shop.co.uk", "2030-01-01T00:00:00Z"),
            "/domain/moved.org" => with("302 Found", "Location: /domain/there/moved.org\r\n", ""),
            "/domain/there/moved.org" => domain("moved.org", "2031-01-01T00:00:00Z"),
            "/domain/loop.org" => with("302 Found", "Location: /domain/loop.org\r\n", ""),
            "/domain/wrong.org" => with("200 OK", "", "<html>no JSON</html>"),
            "/domain/liar.org" => domain("other.org", "2030-01-01T00:00:00Z"),
            "/domain/silent.org" => with(
                "200 OK",
                "",
                &EXAMPLE
                    .replace("xn--fo-5ja.example", "silent.org")
                    .replace("expiration", "nothing"),
            ),
            "/domain/teapot.org" => with("418 I'm a teapot", "", ""),
            "/domain/often.org" => with("429 Too Many Requests", "", ""),
            // More than anybody would keep, and no end.
            "/domain/huge.org" => {
                let mut all = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
                all.extend(std::iter::repeat_n(b'[', 9 << 20));
                all
            }
            _ => with("404 Not Found", "", "{\"errorCode\": 404}"),
        }
    }

    fn serve_one(mut stream: TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 {
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split(' ').nth(1)?.to_owned();
        assert!(
            head.to_ascii_lowercase()
                .contains("accept: application/rdap+json")
        );
        seen.lock().unwrap().push(path.clone());
        // Who had enough hangs up.
        stream.write_all(&answer(&path)).ok()
    }

    /// A server on loopback, and the paths that it was asked for.
    fn start_server() -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve_one(stream, &kept);
            }
        });
        (url, seen)
    }

    fn names(all: &[&str]) -> BTreeMap<String, String> {
        let named = all
            .iter()
            .map(|name| ((*name).to_owned(), "shop".to_owned()));
        named.collect()
    }

    fn describe(domains: &[RegisteredDomain]) -> Vec<String> {
        let line = |d: &RegisteredDomain| match &d.expiry {
            Ok(expiry) => format!("{} {}", d.name, expiry.at),
            Err(why) => format!("{} ? {why}", d.name),
        };
        domains.iter().map(line).collect()
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    #[test]
    fn domains_are_found_by_asking_and_what_is_hostile_is_not_known() {
        let (url, seen) = start_server();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rdap.json");
        let registry = DomainRegistry::new(file.clone(), RdapSource::Server(url));
        let all = names(&[
            "www.xn--fo-5ja.example",
            "a.xn--fo-5ja.example.",
            "*.shop.co.uk",
            "www.moved.org",
            "loop.org",
            "wrong.org",
            "liar.org",
            "silent.org",
            "teapot.org",
            "huge.org",
            "a.b.nobody.org",
            "192.0.2.1",
            "localhost",
            "bad_name.org",
        ]);
        let before = describe(&registry.list_domains(&all));
        assert!(
            before
                .iter()
                .all(|line| line.ends_with("not asked for yet")),
            "{before:?}"
        );
        registry.refresh(&all, at(0)).unwrap();
        let found = registry.list_domains(&all);
        assert_eq!(
            describe(&found),
            [
                "a.b.nobody.org ? no registry knows it",
                "huge.org ? its registry's answer is not understood",
                "liar.org ? its registry's answer is not understood",
                "loop.org ? its registry's answer is not understood",
                "moved.org 2031-01-01T00:00:00Z",
                "shop.co.uk 2030-01-01T00:00:00Z",
                "silent.org ? its registry does not say when it ends",
                "teapot.org ? its registry answers HTTP 418",
                "wrong.org ? its registry's answer is not understood",
                "xn--fo-5ja.example 2016-12-31T23:59:59Z",
            ]
        );
        assert!(found.iter().all(|d| d.apps == ["shop"]));
        let asked = seen.lock().unwrap().clone();
        let count = |path: &str| asked.iter().filter(|p| *p == path).count();
        assert_eq!(
            (count("/domain/co.uk"), count("/domain/shop.co.uk")),
            (1, 1)
        );
        assert_eq!(
            count("/domain/xn--fo-5ja.example"),
            1,
            "two names, one domain"
        );
        assert_eq!(count("/domain/loop.org"), 4);

        // Within a day only what failed is asked for again, once an hour.
        seen.lock().unwrap().clear();
        registry.refresh(&all, at(0)).unwrap();
        assert_eq!(*seen.lock().unwrap(), Vec::<String>::new());
        registry.refresh(&all, at(2)).unwrap();
        let again = seen.lock().unwrap().clone();
        assert!(again.iter().any(|p| p == "/domain/wrong.org"), "{again:?}");
        assert!(
            !again.iter().any(|p| p.contains("uk") || p.contains("xn--")),
            "{again:?}"
        );
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_was_known_stays_while_nobody_answers() {
        let (url, seen) = start_server();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rdap.json");
        let all = names(&["shop.co.uk"]);
        let registry = DomainRegistry::new(file.clone(), RdapSource::Server(url.clone()));
        registry.refresh(&all, at(0)).unwrap();
        // The same file, and the server is gone.
        let text = std::fs::read_to_string(&file).unwrap();
        let gone = "http://127.0.0.1:1";
        std::fs::write(&file, text.replace(&url, gone)).unwrap();
        let without = DomainRegistry::new(file.clone(), RdapSource::Server(gone.into()));
        without.refresh(&all, at(30)).unwrap();
        assert_eq!(
            describe(&without.list_domains(&all)),
            ["shop.co.uk 2030-01-01T00:00:00Z"]
        );
        // A name that was never known is one that nobody says anything of.
        let more = names(&["new.org"]);
        without.refresh(&more, at(30)).unwrap();
        assert_eq!(
            describe(&without.list_domains(&more)),
            ["new.org ? its registry does not answer"]
        );
        // One that wants fewer requests gets no more in this look.
        seen.lock().unwrap().clear();
        let other = folder.path().join("other.json");
        let registry = DomainRegistry::new(other, RdapSource::Server(url));
        registry
            .refresh(&names(&["often.org", "shop.co.uk"]), at(0))
            .unwrap();
        assert_eq!(*seen.lock().unwrap(), ["/domain/often.org"]);
        // A damaged file is as good as none.
        std::fs::write(&file, "{").unwrap();
        assert_eq!(without.list_domains(&all).len(), 1);
    }

    #[test]
    fn a_domain_that_its_registry_knows_no_more_stays_and_is_asked_for_every_hour() {
        let (url, seen) = start_server();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rdap.json");
        let registry = DomainRegistry::new(file.clone(), RdapSource::Server(url));
        registry.refresh(&names(&["shop.co.uk"]), at(0)).unwrap();
        // The same file, as if it were of a name that the server does not know.
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("shop.co.uk", "lost.co.uk")).unwrap();
        let all = names(&["www.lost.co.uk", "never.co.uk"]);
        let found = |registry: &DomainRegistry| {
            let all = registry.list_domains(&all);
            let state = |d: &RegisteredDomain| (d.name.clone(), d.expiry.as_ref().ok().copied());
            all.iter().map(state).collect::<Vec<_>>()
        };
        let before = found(&registry);
        let (name, expiry) = &before[0];
        assert!(name == "lost.co.uk" && !expiry.unwrap().gone, "{before:?}");

        registry.refresh(&all, at(30)).unwrap();
        let gone = DomainExpiry {
            gone: true,
            read: at(30),
            ..expiry.unwrap()
        };
        let expected = [
            ("lost.co.uk".to_owned(), Some(gone)),
            ("never.co.uk".to_owned(), None),
        ];
        assert_eq!(found(&registry), expected);

        // What was never known is asked for after a week, this one after an hour; no answer changes nothing.
        seen.lock().unwrap().clear();
        registry.refresh(&all, at(30)).unwrap();
        assert_eq!(*seen.lock().unwrap(), Vec::<String>::new());
        registry.refresh(&all, at(32)).unwrap();
        assert_eq!(*seen.lock().unwrap(), ["/domain/lost.co.uk"]);
        let mut memory = registry.load();
        let silent = RdapAnswer::Failed(RdapTrouble::Unreachable);
        memory.keep("lost.co.uk".into(), silent, at(34));
        let looked = memory.look_up("www.lost.co.uk", None);
        assert!(matches!(looked, Lookup::Known(_, expiry) if expiry.gone));
        // It is there again.
        let registered = RdapAnswer::Registered {
            expires: Some(at(9000)),
            lapsing: false,
        };
        memory.keep("lost.co.uk".into(), registered, at(36));
        let looked = memory.look_up("www.lost.co.uk", None);
        assert!(matches!(looked, Lookup::Known(_, expiry) if !expiry.gone));
    }

    #[test]
    fn nobody_is_asked_where_nothing_can_be_kept_or_nothing_is_registered() {
        let (url, seen) = start_server();
        let nowhere = PathBuf::from("/dev/null/rdap.json");
        let registry = DomainRegistry::new(nowhere, RdapSource::Server(url));
        registry
            .refresh(&names(&["shop.co.uk"]), at(0))
            .unwrap_err();
        assert_eq!(*seen.lock().unwrap(), Vec::<String>::new());

        // Neither registries nor IANA hear of names that are for tests and for homes.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rdap.json");
        let registry = DomainRegistry::new(file.clone(), RdapSource::Registries);
        let special = names(&["shop.example.org", "a.test", "nas.local", "x.home.arpa"]);
        registry.refresh(&special, at(0)).unwrap();
        assert!(!file.exists());
        assert_eq!(registry.list_domains(&special), []);
    }

    #[test]
    fn the_shortest_part_is_tried_first() {
        assert_eq!(list_candidates("example.org"), ["example.org"]);
        assert_eq!(
            list_candidates("a.b.c.d.example.org"),
            [
                "example.org",
                "d.example.org",
                "c.d.example.org",
                "b.c.d.example.org"
            ]
        );
    }
}
