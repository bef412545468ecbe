//! A week of answers and loads, small.
//!
//! One file a day (UTC). It begins with [`MAGIC`]; then frames follow, each with its kind in the
//! first byte, numbers little-endian:
//!
//! | kind | content |
//! | --- | --- |
//! | 1 | name of the next domain: length (1 byte), UTF-8 |
//! | 2 | name of the next node: the same |
//! | 3 | a round of answers: Unix seconds (4), count (2), for each domain in the order of their names an [`AnswerSample`] (2) |
//! | 4 | a node's load: Unix seconds (4), number of the node (2), CPU and memory percent (1 each), MiB in use and in all of its disk (4 each) |
//!
//! A frame that is cut off at the end of a file, by a full disk or a killed console, is ignored.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use matou_model::Probe;

/// First bytes of a file.
pub(super) const MAGIC: &[u8; 8] = b"MATOUH1\n";

/// Hours in a week.
const HOURS: usize = 7 * 24;

const DOMAIN: u8 = 1;
const NODE: u8 = 2;
const ANSWERS: u8 = 3;
const LOAD: u8 = 4;

/// Times are kept as powers of this factor: 64 of them reach from 1 ms to half a minute.
const STEP: f64 = 1.18;

/// One answer in two bytes: whether it was well (bit 15), the status (bits 6 to 14: 0 not asked, 1
/// no answer, else the code less 98), the time as a power of `STEP` in milliseconds (bits 0 to 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerSample(u16);

impl AnswerSample {
    /// Encodes what a domain answered.
    pub fn of(probe: &Probe) -> Self {
        match &probe.outcome {
            Ok(a) => Self::new(a.status, a.millis, a.well),
            Err(_) => Self(1 << 6),
        }
    }

    fn new(status: u16, millis: u32, well: bool) -> Self {
        let status = status.clamp(100, 599) - 98;
        let time = f64::from(millis.max(1)).ln() / STEP.ln();
        let time = (time.round() as u16).min(63);
        Self(u16::from(well) << 15 | status << 6 | time)
    }

    /// Whether it was asked at all.
    pub fn was_asked(self) -> bool {
        self.0 != 0
    }

    /// Whether the answer was what it should be.
    pub fn is_well(self) -> bool {
        self.0 >> 15 == 1
    }

    /// HTTP status code; `None` when there was no answer.
    pub fn status(self) -> Option<u16> {
        match self.0 >> 6 & 0x1ff {
            0 | 1 => None,
            code => Some(code + 98),
        }
    }

    /// Milliseconds, to about a tenth.
    pub fn millis(self) -> u32 {
        STEP.powi(i32::from(self.0 & 0x3f)).round() as u32
    }
}

/// A node's load at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadSample {
    /// Percent.
    pub cpu: u8,
    /// Percent.
    pub memory: u8,
    /// MiB.
    pub disk_used: u32,
    /// MiB.
    pub disk_total: u32,
}

/// What a file holds, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HistoryEntry<'a> {
    Answers(i64, Vec<(&'a str, AnswerSample)>),
    Load(i64, &'a str, LoadSample),
}

/// Writes frames; knows which names were written to the file.
#[derive(Debug, Default)]
pub(super) struct HistoryEncoder {
    domains: Vec<String>,
    nodes: Vec<String>,
}

impl HistoryEncoder {
    /// Returns the frames of a round of answers.
    pub(crate) fn encode_answers(&mut self, at: Timestamp, probes: &[Probe]) -> Vec<u8> {
        let mut out = Vec::new();
        for probe in probes {
            if !self.domains.contains(&probe.domain) {
                append_name_frame(&mut out, DOMAIN, &probe.domain);
                self.domains.push(probe.domain.clone());
            }
        }
        let mut samples = vec![AnswerSample::default(); self.domains.len()];
        let by_domain: BTreeMap<&str, &Probe> =
            probes.iter().map(|p| (p.domain.as_str(), p)).collect();
        for (sample, domain) in samples.iter_mut().zip(&self.domains) {
            if let Some(probe) = by_domain.get(domain.as_str()) {
                *sample = AnswerSample::of(probe);
            }
        }
        out.push(ANSWERS);
        out.extend(to_unix_seconds(at).to_le_bytes());
        out.extend((samples.len() as u16).to_le_bytes());
        for sample in samples {
            out.extend(sample.0.to_le_bytes());
        }
        out
    }

    /// Returns the frames of a node's load.
    pub(crate) fn encode_load(&mut self, at: Timestamp, node: &str, load: LoadSample) -> Vec<u8> {
        let mut out = Vec::new();
        let number = self.nodes.iter().position(|n| n == node);
        let number = number.unwrap_or_else(|| {
            append_name_frame(&mut out, NODE, node);
            self.nodes.push(node.to_owned());
            self.nodes.len() - 1
        });
        out.push(LOAD);
        out.extend(to_unix_seconds(at).to_le_bytes());
        out.extend((number as u16).to_le_bytes());
        out.extend([load.cpu, load.memory]);
        out.extend(load.disk_used.to_le_bytes());
        out.extend(load.disk_total.to_le_bytes());
        out
    }
}

fn to_unix_seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_second()).unwrap_or(0)
}

fn append_name_frame(out: &mut Vec<u8>, kind: u8, name: &str) {
    // Host names end at 253 bytes.
    let name = name.as_bytes();
    let name = &name[..name.len().min(255)];
    out.extend([kind, name.len() as u8]);
    out.extend(name);
}

/// Decodes a file, and gives each entry to `take`. Returns an encoder that knows the file's names,
/// and the length of the frames that are whole.
pub(super) fn decode_history<'a>(
    bytes: &'a [u8],
    mut take: impl FnMut(HistoryEntry<'a>),
) -> (HistoryEncoder, usize) {
    let mut writer = HistoryEncoder::default();
    let (mut domains, mut nodes): (Vec<&str>, Vec<&str>) = Default::default();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return (writer, 0);
    };
    loop {
        let whole = bytes.len() - rest.len();
        let Some(entry) = decode_history_frame(&mut rest, &mut domains, &mut nodes) else {
            writer.domains = domains.into_iter().map(str::to_owned).collect();
            writer.nodes = nodes.into_iter().map(str::to_owned).collect();
            return (writer, whole);
        };
        if let Some(entry) = entry {
            take(entry);
        }
    }
}

/// Decodes one frame: `Some(None)` for a name, `None` when no whole frame is left.
fn decode_history_frame<'a>(
    rest: &mut &'a [u8],
    domains: &mut Vec<&'a str>,
    nodes: &mut Vec<&'a str>,
) -> Option<Option<HistoryEntry<'a>>> {
    let mut at = *rest;
    let entry = match take_array::<1>(&mut at)?[0] {
        kind @ (DOMAIN | NODE) => {
            let length = usize::from(take_array::<1>(&mut at)?[0]);
            let (name, after) = at.split_at_checked(length)?;
            at = after;
            let name = std::str::from_utf8(name).ok()?;
            if kind == DOMAIN {
                domains.push(name);
            } else {
                nodes.push(name);
            }
            None
        }
        ANSWERS => {
            let time = u32::from_le_bytes(take_array(&mut at)?);
            let count = usize::from(u16::from_le_bytes(take_array(&mut at)?));
            let (samples, after) = at.split_at_checked(count * 2)?;
            at = after;
            let samples = samples
                .chunks_exact(2)
                .zip(&*domains)
                .map(|(b, domain)| (*domain, AnswerSample(u16::from_le_bytes([b[0], b[1]]))));
            let asked = samples.filter(|(_, s)| s.was_asked()).collect();
            Some(HistoryEntry::Answers(i64::from(time), asked))
        }
        LOAD => {
            let time = u32::from_le_bytes(take_array(&mut at)?);
            let node = usize::from(u16::from_le_bytes(take_array(&mut at)?));
            let [cpu, memory] = take_array(&mut at)?;
            let load = LoadSample {
                cpu,
                memory,
                disk_used: u32::from_le_bytes(take_array(&mut at)?),
                disk_total: u32::from_le_bytes(take_array(&mut at)?),
            };
            Some(HistoryEntry::Load(i64::from(time), nodes.get(node)?, load))
        }
        _ => return None,
    };
    *rest = at;
    Some(entry)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

/// What a domain answered in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerHour {
    /// How often it was asked.
    pub asked: u32,
    /// How often the answer was not well, or none came.
    pub failed: u32,
    /// Sum over those that were well.
    millis: u64,
}

impl AnswerHour {
    /// Milliseconds that a good answer took on average.
    pub fn average_millis(self) -> Option<u64> {
        self.millis
            .checked_div(u64::from(self.asked.checked_sub(self.failed)?))
    }
}

/// What each domain answered over a week, by the hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerHistory(BTreeMap<String, VecDeque<(i64, AnswerHour)>>);

impl AnswerHistory {
    /// Takes an answer; `at` in Unix seconds.
    pub fn add_answer(&mut self, domain: &str, at: i64, sample: AnswerSample) {
        if !self.0.contains_key(domain) {
            self.0.insert(domain.to_owned(), VecDeque::new());
        }
        let Some(hours) = self.0.get_mut(domain) else {
            return;
        };
        let hour = at.div_euclid(3600);
        if hours.back().is_none_or(|(last, _)| *last < hour) {
            hours.push_back((hour, AnswerHour::default()));
            while hours
                .front()
                .is_some_and(|(first, _)| first + HOURS as i64 <= hour)
            {
                hours.pop_front();
            }
        }
        // What comes late counts in the newest hour.
        if let Some((_, last)) = hours.back_mut() {
            last.asked += 1;
            if sample.is_well() {
                last.millis += u64::from(sample.millis());
            } else {
                last.failed += 1;
            }
        }
    }

    /// The newest `count` hours of a domain until `now`, oldest first; `None` where it was not
    /// asked.
    pub fn hours(&self, domain: &str, now: Timestamp, count: usize) -> Vec<Option<AnswerHour>> {
        let last = now.as_second().div_euclid(3600);
        let known = self.0.get(domain);
        (0..count as i64)
            .rev()
            .map(|back| {
                let hour = last - back;
                known?.iter().find(|(h, _)| *h == hour).map(|(_, h)| *h)
            })
            .collect()
    }

    /// The share of a domain's answers that were well over the week, percent.
    pub fn percent_well(&self, domain: &str) -> Option<f64> {
        let hours = self.0.get(domain)?;
        let (asked, failed) = hours.iter().fold((0u64, 0u64), |(a, f), (_, h)| {
            (a + u64::from(h.asked), f + u64::from(h.failed))
        });
        (asked > 0).then(|| (asked - failed) as f64 * 100.0 / asked as f64)
    }
}

#[cfg(test)]
pub(super) use tests::probe as test_probe;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use matou_model::ProbeAnswer;

    pub(crate) fn probe(domain: &str, outcome: Result<(u16, u32), ()>) -> Probe {
        Probe {
            app: "app".into(),
            service: "app_web".into(),
            domain: domain.into(),
            path: "/".into(),
            outcome: match outcome {
                Ok((status, millis)) => Ok(ProbeAnswer {
                    node: "n1".into(),
                    status,
                    millis,
                    well: status == 200,
                    fault: None,
                }),
                Err(()) => Err("no answer".into()),
            },
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_sample_keeps_status_and_time() {
        for (status, millis) in [(200, 1), (404, 84), (599, 30_000), (100, 0)] {
            let sample = AnswerSample::of(&probe("a", Ok((status, millis))));
            assert_eq!(sample.status(), Some(status));
            assert_eq!(sample.is_well(), status == 200);
            let (kept, millis) = (f64::from(sample.millis()), f64::from(millis.max(1)));
            assert!((kept / millis - 1.0).abs() < 0.12, "{kept} for {millis}");
        }
        let none = AnswerSample::of(&probe("a", Err(())));
        assert!(none.was_asked() && !none.is_well() && none.status().is_none());
    }

    #[test]
    fn what_is_written_is_read_and_a_torn_end_is_left_out() {
        let mut writer = HistoryEncoder::default();
        let mut file = MAGIC.to_vec();
        let load = LoadSample {
            cpu: 12,
            memory: 99,
            disk_used: 61_440,
            disk_total: 102_400,
        };
        file.extend(writer.encode_answers(at(15), &[probe("b.org", Ok((200, 84)))]));
        file.extend(writer.encode_load(at(16), "n1", load));
        let first = file.len();
        let both = [probe("a.org", Err(())), probe("b.org", Ok((404, 3)))];
        file.extend(writer.encode_answers(at(30), &both));
        let mut seen = Vec::new();
        let (again, whole) = decode_history(&file, |e| seen.push(e));
        assert_eq!(whole, file.len());
        assert_eq!(again.domains, writer.domains);
        assert_eq!(seen[1], HistoryEntry::Load(16, "n1", load));
        let HistoryEntry::Answers(30, samples) = &seen[2] else {
            panic!("{seen:?}");
        };
        let found: Vec<(&str, Option<u16>)> =
            samples.iter().map(|(d, s)| (*d, s.status())).collect();
        assert_eq!(found, [("b.org", Some(404)), ("a.org", None)]);
        for cut in 1..6 {
            let mut seen = 0;
            let (_, whole) = decode_history(&file[..file.len() - cut], |_| seen += 1);
            assert!(seen == 2 && whole >= first && whole < file.len() - cut);
        }
    }

    #[test]
    fn a_week_is_counted_by_the_hour_and_forgets_the_one_before() {
        let mut week = AnswerHistory::default();
        let good = AnswerSample::of(&probe("a", Ok((200, 100))));
        let bad = AnswerSample::of(&probe("a", Err(())));
        for hour in 0..200 {
            week.add_answer("a", hour * 3600, good);
            week.add_answer("a", hour * 3600 + 15, if hour == 199 { bad } else { good });
        }
        assert_eq!(week.0["a"].len(), 168);
        let hours = week.hours("a", at(200 * 3600), 3);
        assert_eq!(hours[2], None);
        assert_eq!(hours[1].map(|h| (h.asked, h.failed)), Some((2, 1)));
        assert!((week.percent_well("a").unwrap() - 335.0 * 100.0 / 336.0).abs() < 1e-9);
        assert_eq!(week.percent_well("b"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut file = MAGIC.to_vec();
            file.extend(&bytes);
            let (_, whole) = decode_history(&file, |_| {});
            prop_assert!(whole <= file.len());
            let (_, whole) = decode_history(&bytes, |_| {});
            prop_assert!(whole <= bytes.len());
        }
    }
}
