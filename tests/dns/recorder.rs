//! A server that plays the zone of a provider, as its documentation says, and remembers what changed it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        let mut all = self.headers.iter();
        let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// A record; `id` is the provider's.
#[derive(Debug, Clone)]
struct Record {
    id: u64,
    name: String,
    kind: String,
    ttl: u64,
    data: String,
}

/// The zone, and what changed it.
#[derive(Default)]
struct Zone {
    records: Vec<Record>,
    changes: Vec<Asked>,
    last_id: u64,
    /// So many changes are still made, then none.
    left: Option<usize>,
}

impl Zone {
    fn add(&mut self, name: &str, kind: &str, ttl: u64, data: &str) -> u64 {
        self.last_id += 1;
        self.records.push(Record {
            id: self.last_id,
            name: name.to_owned(),
            kind: kind.to_owned(),
            ttl,
            data: data.to_owned(),
        });
        self.last_id
    }

    fn of<'a>(&'a self, name: &'a str, kind: &'a str) -> impl Iterator<Item = &'a Record> {
        let all = self.records.iter();
        all.filter(move |r| r.name == name && (kind.is_empty() || r.kind == kind))
    }
}

/// The keys of OVH's own description of its signatures.
pub(crate) const OVH_KEYS: [&str; 3] = [
    "7kbG7Bk7S9Nt7ZSV",
    "EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF",
    "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1",
];
pub(crate) const GANDI_TOKEN: &str = "a-personal-access-token-of-gandi";
pub(crate) const SCALEWAY_TOKEN: &str = "11111111-aaaa-4bbb-8ccc-222222222222";

/// By how much the clock of OVH is ahead here, seconds: signatures by another time are refused.
const AHEAD: i64 = 1000;

/// The recorder, on a port of loopback. It ends with the test.
pub(crate) struct Recorder {
    zone: Arc<Mutex<Zone>>,
    place: SocketAddr,
}

impl Recorder {
    pub(crate) fn start(provider: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = listener.local_addr().expect("an address");
        let zone: Arc<Mutex<Zone>> = Arc::default();
        let shared = zone.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, provider, place, &shared);
            }
        });
        Self { zone, place }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.place)
    }

    /// What changed the zone until now; the zone is empty then.
    pub(crate) fn take_changes(&self) -> Vec<Asked> {
        let mut zone = self.zone.lock().unwrap();
        assert!(zone.records.is_empty(), "{:?} is left", zone.records);
        zone.last_id = 0;
        std::mem::take(&mut zone.changes)
    }

    /// Makes so many more changes, and fails then; `None`: it is well again.
    pub(crate) fn break_after(&self, changes: Option<usize>) {
        self.zone.lock().unwrap().left = changes;
    }

    /// Somebody else makes a record.
    pub(crate) fn by_hand(&self, name: &str, data: &str) {
        self.zone.lock().unwrap().add(name, "A", 600, data);
    }

    /// Somebody else removes all of a name.
    pub(crate) fn forget(&self, name: &str) {
        let mut zone = self.zone.lock().unwrap();
        zone.records.retain(|r| r.name != name);
    }

    /// The values of a name.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let zone = self.zone.lock().unwrap();
        zone.of(name, "").map(|r| r.data.clone()).collect()
    }
}

fn serve(mut stream: TcpStream, provider: &str, place: SocketAddr, zone: &Mutex<Zone>) {
    let Some(asked) = read_request(&stream) else {
        return;
    };
    let mut zone = zone.lock().unwrap();
    let changes = asked.method != "GET";
    let is_broken = changes && zone.left == Some(0);
    if changes {
        zone.left = zone.left.map(|left| left.saturating_sub(1));
    }
    let (code, answer) = match provider {
        _ if is_broken => (500, json!({ "message": "out of order" })),
        "gandi" => gandi(&asked, &mut zone),
        "scaleway" => scaleway(&asked, &mut zone),
        _ => ovh(&asked, place, &mut zone),
    };
    if asked.method != "GET" && code < 300 {
        zone.changes.push(asked);
    }
    let text = answer.to_string();
    let head = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(text.as_bytes());
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 || line == "\r\n" {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let mut words = head.first()?.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers = head.iter().skip(1).filter_map(|l| l.split_once(": "));
    let headers = headers.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let mut asked = Asked {
        method,
        path,
        headers,
        body: String::new(),
    };
    let length = asked.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8(body).ok()?;
    Some(asked)
}

/// <https://api.gandi.net/docs/livedns/>
fn gandi(asked: &Asked, zone: &mut Zone) -> (u16, Value) {
    if asked.header("authorization") != format!("Bearer {GANDI_TOKEN}") {
        return (403, json!({ "message": "the token is not known" }));
    }
    if asked.path == "/v5/livedns/domains" {
        return (200, json!([{ "fqdn": "example.org" }]));
    }
    let rest = match asked.path.strip_prefix("/v5/livedns/domains/example.org") {
        Some(rest) => rest.trim_start_matches('/'),
        None => return (404, json!({ "message": "no such domain" })),
    };
    let parts: Vec<&str> = rest.split('/').collect();
    let (name, kind) = (
        parts.get(1).copied().unwrap_or_default(),
        parts.get(2).copied().unwrap_or_default(),
    );
    let sets = |zone: &Zone| {
        let mut sets: Vec<(String, String, u64, Vec<String>)> = Vec::new();
        for r in &zone.records {
            match sets.iter_mut().find(|s| s.0 == r.name && s.1 == r.kind) {
                Some(set) => set.3.push(r.data.clone()),
                None => sets.push((r.name.clone(), r.kind.clone(), r.ttl, vec![r.data.clone()])),
            }
        }
        let json = |(name, kind, ttl, values): (String, String, u64, Vec<String>)| json!({ "rrset_name": name, "rrset_type": kind, "rrset_ttl": ttl, "rrset_values": values });
        sets.into_iter().map(json).collect::<Vec<Value>>()
    };
    let put = |zone: &mut Zone| {
        let body = asked.json();
        let ttl = body["rrset_ttl"].as_u64().unwrap_or(10800);
        zone.records.retain(|r| !(r.name == name && r.kind == kind));
        for value in body["rrset_values"].as_array().expect("values") {
            zone.add(name, kind, ttl, value.as_str().expect("a text"));
        }
        (201, json!({ "message": "DNS Record Created" }))
    };
    match (asked.method.as_str(), parts.len()) {
        ("GET", 1) if rest.is_empty() => (200, json!({ "fqdn": "example.org" })),
        ("GET", 1) => (200, json!(sets(zone))),
        ("GET", _) => {
            let found = sets(zone).into_iter();
            let mut found = found.filter(|s| s["rrset_name"] == name && s["rrset_type"] == kind);
            match found.next() {
                Some(set) => (200, set),
                None => (404, json!({ "message": "no such record" })),
            }
        }
        ("POST", 3) if zone.of(name, kind).next().is_some() => (
            409,
            json!({ "message": "A DNS Record already exists with same value" }),
        ),
        ("POST" | "PUT", 3) => put(zone),
        ("DELETE", 3) => {
            zone.records.retain(|r| !(r.name == name && r.kind == kind));
            (204, Value::Null)
        }
        _ => (404, json!({ "message": "not found" })),
    }
}

/// <https://www.scaleway.com/en/developers/api/domains-and-dns/>
fn scaleway(asked: &Asked, zone: &mut Zone) -> (u16, Value) {
    if asked.header("x-auth-token") != SCALEWAY_TOKEN {
        return (401, json!({ "message": "authentication is denied" }));
    }
    let path = asked.path.split('?').next().unwrap_or_default();
    if path == "/domain/v2beta1/dns-zones" {
        let zone = json!({ "domain": "example.org", "subdomain": "" });
        return (200, json!({ "dns_zones": [zone], "total_count": 1 }));
    }
    if path != "/domain/v2beta1/dns-zones/example.org/records" {
        return (404, json!({ "message": "resource is not found" }));
    }
    if asked.method == "GET" {
        let records: Vec<Value> = zone
            .records
            .iter()
            .map(|r| json!({ "id": r.id.to_string(), "name": r.name, "type": r.kind, "ttl": r.ttl, "data": r.data }))
            .collect();
        return (
            200,
            json!({ "total_count": records.len(), "records": records }),
        );
    }
    let add = |zone: &mut Zone, records: &Value| {
        for r in records.as_array().expect("records") {
            let text = |key: &str| r[key].as_str().expect("a text").to_owned();
            let ttl = r["ttl"].as_u64().expect("a TTL");
            zone.add(&text("name"), &text("type"), ttl, &text("data"));
        }
    };
    for change in asked.json()["changes"].as_array().expect("changes") {
        for key in ["set", "delete"] {
            if let Some(id) = change[key]["id"].as_str() {
                zone.records.retain(|r| r.id.to_string() != id);
            }
        }
        for key in ["set", "add"] {
            if !change[key].is_null() {
                add(zone, &change[key]["records"]);
            }
        }
    }
    (200, json!({ "records": [] }))
}

/// <https://eu.api.ovh.com/console/>, and the description of its signatures.
fn ovh(asked: &Asked, place: SocketAddr, zone: &mut Zone) -> (u16, Value) {
    let now = jiff::Timestamp::now().as_second() + AHEAD;
    if asked.path == "/1.0/auth/time" {
        return (200, json!(now));
    }
    let [application, secret, consumer] = OVH_KEYS;
    let time = asked.header("x-ovh-timestamp");
    let signed = format!(
        "{secret}+{consumer}+{}+http://{place}{}+{}+{time}",
        asked.method, asked.path, asked.body
    );
    let is_now = time
        .parse::<i64>()
        .is_ok_and(|t| (t - now).abs() < AHEAD / 2);
    if asked.header("x-ovh-signature") != format!("$1${}", sha1(&signed))
        || asked.header("x-ovh-application") != application
        || asked.header("x-ovh-consumer") != consumer
        || !is_now
    {
        return (403, json!({ "message": "Invalid signature" }));
    }
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let parameter = |name: &str| {
        let mut all = query.split('&').filter_map(|p| p.split_once('='));
        all.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let base = "/1.0/domain/zone";
    let rest = path.strip_prefix(base).unwrap_or("?").trim_matches('/');
    let parts: Vec<&str> = rest.split('/').collect();
    let id: Option<u64> = parts.get(2).and_then(|id| id.parse().ok());
    let body = asked.json();
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", [""]) => (200, json!(["example.org"])),
        ("GET", ["example.org", "status"]) => (200, json!({ "isDeployed": true })),
        ("POST", ["example.org", "refresh"]) => (200, Value::Null),
        ("GET", ["example.org", "record"]) => {
            let kind = parameter("fieldType");
            let name = parameter("subDomain");
            let found = zone.records.iter().filter(|r| {
                kind.is_none_or(|kind| r.kind == kind) && name.is_none_or(|name| r.name == name)
            });
            (200, json!(found.map(|r| r.id).collect::<Vec<u64>>()))
        }
        ("GET", ["example.org", "record", _]) => {
            match zone.records.iter().find(|r| Some(r.id) == id) {
                Some(r) => {
                    let json = json!({ "id": r.id, "fieldType": r.kind, "subDomain": r.name, "target": r.data, "ttl": r.ttl });
                    (200, json)
                }
                None => (404, json!({ "message": "This service does not exist" })),
            }
        }
        ("POST", ["example.org", "record"]) => {
            let text = |key: &str| body[key].as_str().expect("a text").to_owned();
            let ttl = body["ttl"].as_u64().unwrap_or(0);
            let id = zone.add(&text("subDomain"), &text("fieldType"), ttl, &text("target"));
            (200, json!({ "id": id }))
        }
        ("PUT", ["example.org", "record", _]) => {
            if let Some(r) = zone.records.iter_mut().find(|r| Some(r.id) == id) {
                r.data = body["target"].as_str().expect("a target").to_owned();
                r.ttl = body["ttl"].as_u64().unwrap_or(r.ttl);
            }
            (200, Value::Null)
        }
        ("DELETE", ["example.org", "record", _]) => {
            zone.records.retain(|r| Some(r.id) != id);
            (200, Value::Null)
        }
        _ => (404, json!({ "message": "not found" })),
    }
}

fn sha1(text: &str) -> String {
    let mut process = Command::new("sha1sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha1sum");
    let mut to = process.stdin.take().expect("its input");
    to.write_all(text.as_bytes()).expect("written");
    drop(to);
    let out = process.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&out.stdout)[..40].to_owned()
}
