//! A request as the edge logged it, which of them are wanted, and what they add up to.

use matou_i18n::tr;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use matou_base::text::InvalidInput;
use serde::Serialize;

/// A request that the edge answered. All text is safe to show, and of bounded length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessRecord {
    /// When it came in.
    pub at: Timestamp,
    /// What the visitor was answered.
    pub status: u16,
    /// `GET`, `POST`, …
    pub method: Box<str>,
    /// The host name that was asked for, without its port.
    pub host: Box<str>,
    /// With its query.
    pub path: Box<str>,
    /// From its arrival to the last byte of the answer.
    #[serde(rename = "micros", serialize_with = "serialize_micros")]
    pub duration: Duration,
    /// The visitor's address, as Traefik sees it.
    pub client: Box<str>,
    /// The name given for a password; empty without one.
    pub user: Box<str>,
    /// The router that took it, as `blog@swarm`; empty when none did.
    pub router: Box<str>,
}

fn serialize_micros<S: serde::Serializer>(duration: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

impl AccessRecord {
    /// Returns the path without its query.
    pub fn path_without_query(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The request as one line, for files and pipes.
    pub fn to_line(&self) -> String {
        format!(
            "{:.3} {} {} {}{} {} {}",
            self.at,
            self.status,
            self.method,
            self.host,
            self.path,
            matou_base::units::plain_short_duration(self.duration),
            self.client
        )
    }

    /// Whether the answer was a server error (500 and above), of the application or of the edge.
    pub fn is_server_error(&self) -> bool {
        self.status >= 500
    }
}

/// Which requests are wanted. A record matches one of the statuses, addresses and methods, and
/// everything else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessFilter {
    /// Ranges, both ends included.
    statuses: Vec<(u16, u16)>,
    clients: Vec<Box<str>>,
    methods: Vec<Box<str>>,
    /// Parts of the path, in lower case.
    paths: Vec<Box<str>>,
    slower: Option<Duration>,
}

impl AccessFilter {
    /// Parses words: `404`, `5xx` or `5` are statuses, `>500ms` or `>2s` a duration, `POST` a
    /// method, an IP address a visitor, anything else a part of the path. A duration that is not
    /// complete yet is ignored.
    pub fn parse(text: &str) -> Self {
        let mut filter = Self::default();
        for word in text.split_whitespace() {
            if let Some(duration) = word.strip_prefix('>') {
                if let Ok(duration) = matou_base::units::parse_human_duration(duration) {
                    filter.slower = Some(duration);
                }
            } else if let Ok(range) = parse_status_range(word) {
                filter.statuses.push(range);
            } else if word.parse::<IpAddr>().is_ok() {
                filter.clients.push(word.into());
            } else if word.len() > 2 && word.bytes().all(|b| b.is_ascii_uppercase()) {
                filter.methods.push(word.into());
            } else {
                filter.paths.push(word.to_lowercase().into());
            }
        }
        filter
    }

    /// Also wants this status (`404`) or class (`5xx`).
    ///
    /// # Errors
    /// What is allowed.
    pub fn or_status(&mut self, text: &str) -> Result<(), InvalidInput> {
        self.statuses.push(parse_status_range(text)?);
        Ok(())
    }

    /// Only paths that hold the text, whatever the case.
    pub fn and_path(&mut self, text: &str) {
        self.paths.push(text.to_lowercase().into());
    }

    /// Only what took longer.
    pub fn and_slower(&mut self, than: Duration) {
        self.slower = Some(than);
    }

    /// Whether every request is wanted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the record is wanted.
    pub fn matches_record(&self, a: &AccessRecord) -> bool {
        let one = |list: &[Box<str>], text: &str| {
            list.is_empty() || list.iter().any(|l| l.eq_ignore_ascii_case(text))
        };
        let status = |(from, to): &(u16, u16)| (*from..=*to).contains(&a.status);
        (self.statuses.is_empty() || self.statuses.iter().any(status))
            && self.slower.is_none_or(|s| a.duration > s)
            && one(&self.clients, &a.client)
            && one(&self.methods, &a.method)
            && (self.paths.is_empty() || {
                let path = a.path.to_lowercase();
                self.paths.iter().all(|p| path.contains(&**p))
            })
    }
}

/// Parses `404`, `5xx`, `40x` or the beginning of one into a range of statuses.
fn parse_status_range(text: &str) -> Result<(u16, u16), InvalidInput> {
    let wrong = || {
        InvalidInput::new(tr!(
            "{text:?} is no status: write 404, or 5xx for all from 500 to 599"
        ))
    };
    let digits = text.trim_end_matches(['x', 'X']);
    let number: u16 = digits.parse().map_err(|_| wrong())?;
    let fits = text.len() <= 3 && digits.starts_with(['1', '2', '3', '4', '5']);
    let step = match digits.len() {
        1 => 100,
        2 => 10,
        _ => 1,
    };
    match fits {
        true => Ok((number * step, number * step + step - 1)),
        false => Err(wrong()),
    }
}

/// Minutes that are counted.
pub const COUNTED_MINUTES: usize = 30;

/// Requests of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct MinuteCount {
    /// All that came in.
    pub requests: u32,
    /// Answers of 500 and above.
    pub failed: u32,
}

/// Counts of the requests of the last minutes, of fixed size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecentMinutes {
    /// By minute since the epoch, modulo [`COUNTED_MINUTES`].
    ring: [(i64, MinuteCount); COUNTED_MINUTES],
    /// The earliest minute of which anything is known.
    first: Option<i64>,
}

impl RecentMinutes {
    /// Counts a request in its minute; one that is older than what is kept is left out.
    pub fn count_request(&mut self, access: &AccessRecord) {
        let minute = access.at.as_second().div_euclid(60);
        self.first = Some(self.first.map_or(minute, |f| f.min(minute)));
        let (at, count) = &mut self.ring[minute.rem_euclid(COUNTED_MINUTES as i64) as usize];
        if minute < *at {
            return;
        }
        if minute > *at {
            (*at, *count) = (minute, MinuteCount::default());
        }
        count.requests = count.requests.saturating_add(1);
        count.failed = count
            .failed
            .saturating_add(u32::from(access.is_server_error()));
    }

    /// Returns the counts of the minutes up to `now`, oldest first; `None` before the first known
    /// one.
    pub fn counts_until(&self, now: Timestamp) -> [Option<MinuteCount>; COUNTED_MINUTES] {
        let last = now.as_second().div_euclid(60);
        std::array::from_fn(|i| {
            let minute = last - (COUNTED_MINUTES - 1 - i) as i64;
            let (at, count) = self.ring[minute.rem_euclid(COUNTED_MINUTES as i64) as usize];
            match self.first {
                Some(first) if first <= minute => Some(match at == minute {
                    true => count,
                    false => MinuteCount::default(),
                }),
                _ => None,
            }
        })
    }
}

/// Returns the `most` most frequent texts with their counts, the most frequent first. Memory grows
/// with the number of different texts, so pass a bounded iterator.
pub fn count_most_frequent<'a>(
    texts: impl Iterator<Item = &'a str>,
    most: usize,
) -> Vec<(&'a str, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    let mut all: Vec<_> = counts.into_iter().collect();
    all.sort_unstable_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
    all.truncate(most);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(second: i64, status: u16, path: &str) -> AccessRecord {
        AccessRecord {
            at: Timestamp::constant(1_795_442_400 + second, 0),
            status,
            method: "GET".into(),
            host: "a.org".into(),
            path: path.into(),
            duration: Duration::from_millis(300),
            client: "192.0.2.7".into(),
            user: "".into(),
            router: "a@swarm".into(),
        }
    }

    #[test]
    fn words_of_a_filter() {
        let a = access(0, 404, "/Wp-Login.php?x=1");
        for (text, kept) in [
            ("", true),
            ("404", true),
            ("4xx", true),
            ("4", true),
            ("40", true),
            ("5xx 404", true),
            ("5xx", false),
            ("41", false),
            ("wp-login", true),
            ("/wp x=1", true),
            ("/wp x=2", false),
            (">200ms", true),
            (">0.3s", false),
            (">2", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("GET 404", true),
            ("POST", false),
            ("2026", false),
        ] {
            assert_eq!(AccessFilter::parse(text).matches_record(&a), kept, "{text}");
        }
        let mut filter = AccessFilter::default();
        for wrong in ["", "abc", "6xx", "4040", "xxx", "-1"] {
            assert!(filter.or_status(wrong).is_err(), "{wrong}");
        }
        assert!(filter.is_empty());
    }

    #[test]
    fn minutes_are_counted_within_a_bound() {
        let now = access(0, 200, "/").at;
        let mut minutes = RecentMinutes::default();
        assert_eq!(minutes.counts_until(now), [None; COUNTED_MINUTES]);
        minutes.count_request(&access(-120, 200, "/"));
        minutes.count_request(&access(0, 200, "/"));
        minutes.count_request(&access(1, 503, "/"));
        // Long ago: its place is another's by now.
        minutes.count_request(&access(-60 * COUNTED_MINUTES as i64, 200, "/"));
        let seen = minutes.counts_until(now);
        let count = |requests, failed| Some(MinuteCount { requests, failed });
        assert_eq!(
            seen[COUNTED_MINUTES - 3..],
            [count(1, 0), count(0, 0), count(2, 1)]
        );
        assert_eq!(seen[0], count(0, 0));
        // An hour later nothing of it is left.
        let later = now + jiff::SignedDuration::from_hours(1);
        assert_eq!(minutes.counts_until(later), [count(0, 0); COUNTED_MINUTES]);
    }

    #[test]
    fn the_most_frequent_come_first() {
        let all = ["/b", "/a", "/c", "/a", "/b", "/a"];
        assert_eq!(
            count_most_frequent(all.into_iter(), 2),
            [("/a", 3), ("/b", 2)]
        );
    }
}
