//! Files of the state folder: what was said about alerts, and the history. One folder a fleet.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};

use super::history::{
    AnswerHistory, HistoryEncoder, HistoryEntry, LoadSample, MAGIC, decode_history,
};
use super::ledger::AlertLedger;
use super::load_history::LoadHistory;
use super::told_store::{ROOT_RUNTIME, SparedFile, ToldStore};
use super::trend::DiskTrends;
use matou_model::{Datum, Update};

/// Days of history that are kept beside today's.
const DAYS: i64 = 7;

/// A node's load is kept this often, seconds.
const LOAD_EVERY: i64 = 60;

/// What earlier consoles recorded over the week.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptHistory {
    /// What applications answered.
    pub week: AnswerHistory,
    /// How disks filled of late.
    pub trends: DiskTrends,
    /// How busy nodes were.
    pub loads: LoadHistory,
}

/// The folder of one fleet.
#[derive(Debug, Clone)]
pub struct MonitorStore {
    folder: PathBuf,
    /// The fleet's name, as a part of a file's.
    fleet: String,
}

impl MonitorStore {
    /// Names the fleet's folder in the state folder. It is made, for this user alone, when
    /// something is written.
    pub fn new(state: &Path, fleet: &str) -> Self {
        // A fleet's name may hold anything.
        let name: String = fleet
            .chars()
            .map(|c| match c {
                c if c.is_alphanumeric() || c == '_' => c,
                _ => '-',
            })
            .collect();
        Self {
            folder: state.join("monitor").join(&name),
            fleet: name,
        }
    }

    /// A file in the folder, and one in memory for when the disk takes nothing: that, too, is to be told.
    fn spared_file(&self, stem: &str) -> SparedFile {
        SparedFile::new(&self.folder, Path::new(ROOT_RUNTIME), stem, &self.fleet)
    }

    /// Loads what was kept about alerts; an empty ledger when there is nothing that can be read.
    pub fn load_ledger(&self) -> AlertLedger {
        self.spared_file("alerts").load().unwrap_or_default()
    }

    /// Saves what is to be kept about alerts, whole or not at all.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn save_ledger(&self, ledger: &AlertLedger) -> io::Result<()> {
        self.spared_file("alerts").save(ledger)
    }

    /// Where it is kept what receivers were told.
    pub fn told_store(&self) -> ToldStore {
        ToldStore::new(self.folder.clone(), self.spared_file("told"))
    }

    /// Loads what was recorded over the week.
    pub fn load_history(&self, now: Timestamp) -> KeptHistory {
        let mut kept = KeptHistory::default();
        let horizon = now.as_second() - DAYS * 86_400;
        for (_, path) in self.list_history_files() {
            // A file that can't be read is as good as none.
            let bytes = std::fs::read(&path).unwrap_or_default();
            decode_history(&bytes, |entry| match entry {
                HistoryEntry::Answers(at, samples) if at >= horizon => {
                    for (domain, sample) in samples {
                        kept.week.add_answer(domain, at, sample);
                    }
                }
                HistoryEntry::Load(at, node, load) if at >= horizon => {
                    kept.loads.add_sample(node, at, load);
                    if let Ok(at) = Timestamp::from_second(at) {
                        let used = u64::from(load.disk_used) << 20;
                        kept.trends.add_reading(node, at, used);
                    }
                }
                _ => {}
            });
        }
        kept
    }

    /// The history's files with their days, oldest first.
    fn list_history_files(&self) -> Vec<(String, PathBuf)> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let mut files: Vec<(String, PathBuf)> = entries
            .flatten()
            .filter_map(|e| {
                let name = e.file_name().into_string().ok()?;
                let day = name.strip_prefix("history-")?.strip_suffix(".bin")?;
                Some((day.to_owned(), e.path()))
            })
            .collect();
        files.sort();
        files
    }

    /// Opens the history for writing. Returns `None` while another console of the fleet does.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn open_recorder(&self) -> io::Result<Option<HistoryRecorder>> {
        matou_base::files::make_folder(&self.folder)?;
        let lock = matou_base::files::open_append(&self.folder.join("lock"))?;
        match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(HistoryRecorder {
                store: self.clone(),
                _lock: lock,
                day: String::new(),
                file: None,
                encoder: HistoryEncoder::default(),
                loads: Default::default(),
            })),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, e)) => Err(e.into()),
        }
    }
}

/// Writes the history as it happens.
#[derive(Debug)]
pub struct HistoryRecorder {
    store: MonitorStore,
    _lock: Flock<File>,
    /// As in the file's name: `20261124`.
    day: String,
    file: Option<File>,
    encoder: HistoryEncoder,
    /// When each node's load was written last, Unix seconds.
    loads: BTreeMap<String, i64>,
}

impl HistoryRecorder {
    /// Writes a reading, if it is of a kind that is kept.
    ///
    /// # Errors
    /// When it can't be written; the next is tried all the same.
    pub fn record_update(&mut self, update: &Update) -> io::Result<()> {
        let at = update.at;
        match &update.datum {
            Datum::Probes(Ok(probes)) if !probes.is_empty() => {
                self.open_day_file(at)?;
                let bytes = self.encoder.encode_answers(at, probes);
                self.write_frames(&bytes)
            }
            Datum::Metrics {
                node,
                reading: Ok(m),
            } => {
                let last = self.loads.get(node).copied().unwrap_or(i64::MIN);
                if at.as_second() < last.saturating_add(LOAD_EVERY) {
                    return Ok(());
                }
                self.loads.insert(node.clone(), at.as_second());
                self.open_day_file(at)?;
                let mib = |bytes: u64| u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
                let load = LoadSample {
                    cpu: m.cpu as u8,
                    memory: m.memory_percent() as u8,
                    disk_used: mib(m.disk_used),
                    disk_total: mib(m.disk_total),
                };
                let bytes = self.encoder.encode_load(at, node, load);
                self.write_frames(&bytes)
            }
            _ => Ok(()),
        }
    }

    fn write_frames(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        };
        if written.is_err() {
            // The next write opens the file anew, which cuts off the torn frame.
            self.day.clear();
        }
        written
    }

    /// Opens the file of the day, and removes those that are too old.
    fn open_day_file(&mut self, at: Timestamp) -> io::Result<()> {
        let day = at.strftime("%Y%m%d").to_string();
        if day == self.day {
            return Ok(());
        }
        let mut file =
            matou_base::files::open_append(&self.store.folder.join(format!("history-{day}.bin")))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (writer, whole) = decode_history(&bytes, |_| {});
        file.set_len(whole as u64)?;
        if whole == 0 {
            file.write_all(MAGIC)?;
        }
        (self.encoder, self.file, self.day) = (writer, Some(file), day);
        let horizon = at.as_second() - DAYS * 86_400;
        if let Ok(horizon) = Timestamp::from_second(horizon) {
            let first = horizon.strftime("%Y%m%d").to_string();
            for (day, path) in self.store.list_history_files() {
                if day < first {
                    std::fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::test_probe;
    use super::*;
    use matou_model::Metrics;

    #[test]
    fn a_week_of_a_hundred_applications_and_twenty_nodes_takes_less_than_20_mb() {
        let state = tempfile::tempdir().unwrap();
        let store = MonitorStore::new(state.path(), "chaton");
        let mut recorder = store.open_recorder().unwrap().unwrap();
        let begin = 1_795_392_000; // midnight, UTC
        let domains: Vec<String> = (0..100).map(|i| format!("app{i:03}.example.org")).collect();
        // Nine days: the first two are to go.
        for round in 0..9 * 5760i64 {
            let at = Timestamp::from_second(begin + round * 15).unwrap();
            let probes = domains
                .iter()
                .enumerate()
                .map(|(i, d)| {
                    let fails = i == 7 && round % 100 == 0;
                    test_probe(
                        d,
                        if fails {
                            Err(())
                        } else {
                            Ok((200, 20 + i as u32))
                        },
                    )
                })
                .collect();
            let datum = Datum::Probes(Ok(probes));
            recorder.record_update(&Update { at, datum }).unwrap();
            for node in 0..20 {
                let metrics = Metrics {
                    cpu: 12.0,
                    memory_used: 1 << 30,
                    memory_total: 2 << 30,
                    disk_used: (40 << 30) + ((round as u64) << 20),
                    disk_total: 100 << 30,
                    ..Metrics::default()
                };
                let datum = Datum::Metrics {
                    node: format!("n{node}"),
                    reading: Ok(metrics),
                };
                recorder.record_update(&Update { at, datum }).unwrap();
            }
        }
        let size: u64 = store
            .list_history_files()
            .iter()
            .map(|(_, p)| p.metadata().unwrap().len())
            .sum();
        eprintln!("a week: {:.1} MB", size as f64 / 1e6);
        assert!(size < 20_000_000, "{size} bytes");
        assert_eq!(store.list_history_files().len(), 8);
        let now = Timestamp::from_second(begin + 9 * 86_400 - 1).unwrap();
        let KeptHistory {
            week,
            trends,
            loads,
        } = store.load_history(now);
        let busy = loads.series("n3", now, 3600, 24);
        assert!(busy.iter().all(|h| {
            h.is_some_and(|h| (h.cpu - 12.0).abs() < 0.01 && (h.memory - 50.0).abs() < 0.01)
        }));
        assert_eq!(week.percent_well("app000.example.org"), Some(100.0));
        assert!((week.percent_well("app007.example.org").unwrap() - 99.0).abs() < 0.01);
        let hours = week.hours("app050.example.org", now, 24);
        assert!(hours.iter().all(|h| h.unwrap().asked == 240));
        // 240 MiB an hour.
        assert!(trends.hours_to_full("n3", 100 << 30, now).is_some());
    }

    #[test]
    fn a_torn_file_is_gone_on_with_and_one_console_writes() {
        let state = tempfile::tempdir().unwrap();
        let store = MonitorStore::new(state.path(), "a/../b");
        let mut recorder = store.open_recorder().unwrap().unwrap();
        assert!(store.open_recorder().unwrap().is_none());
        let at = |s| Timestamp::from_second(s).unwrap();
        let round = |s, d: &str| Update {
            at: at(s),
            datum: Datum::Probes(Ok(vec![test_probe(d, Ok((200, 5)))])),
        };
        recorder.record_update(&round(0, "a.org")).unwrap();
        drop(recorder);
        let path = store.list_history_files()[0].1.clone();
        let mut file = matou_base::files::open_append(&path).unwrap();
        file.write_all(&[3, 1, 2]).unwrap();
        let mut recorder = store.open_recorder().unwrap().unwrap();
        recorder.record_update(&round(15, "b.org")).unwrap();
        let week = store.load_history(at(20)).week;
        assert_eq!(week.percent_well("a.org"), Some(100.0));
        assert_eq!(week.percent_well("b.org"), Some(100.0));
    }

    #[test]
    fn what_was_said_about_alerts_is_kept() {
        let state = tempfile::tempdir().unwrap();
        let store = MonitorStore::new(state.path(), "chaton");
        assert_eq!(store.load_ledger(), AlertLedger::default());
        let mut ledger = AlertLedger::default();
        let silence = super::super::Silence { until: None };
        ledger.silences.insert("edge".into(), silence);
        store.save_ledger(&ledger).unwrap();
        assert_eq!(store.load_ledger(), ledger);
        // Damaged: the console opens all the same.
        std::fs::write(store.folder.join("alerts.json"), "{").unwrap();
        assert_eq!(store.load_ledger(), AlertLedger::default());
    }
}
