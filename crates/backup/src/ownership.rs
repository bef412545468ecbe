//! Whose a snapshot is, and which of an application is the newest. Several fleets may share one
//! repository, also two of the same name (one is being moved); and the clock that dates snapshots may
//! have been wrong.
//!
//! A snapshot is of the fleet whose id is in its tag `fleet-id`. One made before fleets had ids is of the
//! fleet whose name it bears, as long as no other fleet of that name has made a snapshot with its id;
//! then nobody can tell, and it is nobody's.
//!
//! restic dates a snapshot by the clock of the storage node. No clock is trusted by itself: what is
//! ahead of the storage node's and of this machine's is wrong for certain, and is never the newest; what
//! is ahead of only one of them can't be judged before that clock is right.

use matou_i18n::tr;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::messages::ResticSnapshot;

/// The tag that says which fleet made a snapshot.
pub(crate) const FLEET_ID: &str = "fleet-id";

/// Clocks may differ by so much.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// How far apart the times of a manifest and of its snapshot may be. The manifest is written first,
/// perhaps by another machine, and the snapshot may wait two hours for the repository. Further
/// apart, a clock was wrong.
const MAX_APART: SignedDuration = SignedDuration::from_hours(6);

/// The name that a fleet has for ever: 16 hexadecimal digits, made once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FleetId(String);

impl FleetId {
    /// Makes a new id.
    pub fn random() -> Self {
        Self(format!("{:016x}", rand::random::<u64>()))
    }

    /// Parses an id out of a tag or a file; returns `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let plain = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 16 && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// Returns the id of the fleet that made a snapshot, by its tag.
    pub fn from_snapshot(snapshot: &ResticSnapshot) -> Option<Self> {
        Self::parse(snapshot.tag_value(FLEET_ID)?)
    }

    /// `fleet-id=…`
    pub fn tag(&self) -> String {
        format!("{FLEET_ID}={}", self.0)
    }
}

impl fmt::Display for FleetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A fleet among those of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetIdentity {
    /// restic's host of its snapshots.
    pub name: String,
    /// `None` before its first backup with one.
    pub id: Option<FleetId>,
}

/// Whose a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotOwner {
    /// This fleet's.
    Ours,
    /// Of another fleet, named so that the two can be told apart.
    Other(String),
}

impl SnapshotOwner {
    /// The other fleet.
    pub fn other_fleet(&self) -> Option<&str> {
        match self {
            Self::Ours => None,
            Self::Other(name) => Some(name),
        }
    }
}

/// What two clocks say now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPair {
    /// Of the machine that matou runs on.
    pub here: Timestamp,
    /// Of the storage node.
    pub storage: Timestamp,
}

impl ClockPair {
    /// Whether a time is ahead of both clocks: what bears it can't have been made then.
    pub fn is_ahead(self, time: Timestamp) -> bool {
        time.duration_since(self.here.max(self.storage)) > CLOCK_TOLERANCE
    }

    /// Whether a time is ahead of one of them at least.
    fn may_be_ahead(self, time: Timestamp) -> bool {
        time.duration_since(self.here.min(self.storage)) > CLOCK_TOLERANCE
    }
}

/// Whether a snapshot's `date` contradicts the time at which its `manifest` was written: they are
/// too far apart.
pub fn contradicts_manifest(date: Timestamp, manifest: Timestamp) -> bool {
    date.duration_since(manifest).abs() > MAX_APART
}

/// Why no snapshot of an application can be chosen, when the operator has named none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotRefusal {
    /// There is none at all.
    Nothing,
    /// Those that there are belong to other fleets; the newest of them.
    Others {
        /// Short id of the newest.
        newest: String,
        /// The fleet that it is of.
        fleet: String,
    },
    /// All of this fleet's are dated in the future; the latest.
    Ahead {
        /// Short id of the latest.
        latest: String,
    },
    /// The newest is ahead of one clock and not of the other.
    Clocks {
        /// Short id of the newest.
        newest: String,
        /// What the clocks say.
        clocks: ClockPair,
    },
}

impl SnapshotRefusal {
    /// One sentence that says what to do; `repository` is where it was looked for.
    pub fn sentence(&self, app: &str, repository: &str) -> String {
        match self {
            Self::Nothing => tr!("{app} has no snapshot in {repository}: it can't be restored"),
            Self::Others { newest, fleet } => tr!(
                "{app} has no snapshot of this fleet in {repository}; the newest of the fleet {fleet} is {newest}: name it with --snapshot to restore that"
            ),
            Self::Ahead { latest } => tr!(
                "every snapshot of {app} is dated in the future, because a clock was wrong: name the one that is wanted, as --snapshot {latest}; `matou snapshots {app}` lists them"
            ),
            Self::Clocks { newest, clocks } => tr!(
                "the storage node's clock says {}, this machine's {}, and by one of them the snapshot {newest} of {app} is from the future: correct the clock that is wrong, or name a snapshot with --snapshot",
                clocks.storage.strftime("%F %R UTC"),
                clocks.here.strftime("%F %R UTC"),
            ),
        }
    }
}

/// A repository's snapshots as one fleet sees them. Whatever lists or chooses snapshots asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotView {
    identity: FleetIdentity,
    /// Another fleet has this one's name, and has made snapshots with its own id.
    namesake: bool,
    clocks: ClockPair,
}

impl SnapshotView {
    /// Makes the view, given all snapshots of a repository.
    pub fn new(identity: FleetIdentity, all: &[ResticSnapshot], clocks: ClockPair) -> Self {
        let other = |s: &ResticSnapshot| {
            s.hostname == identity.name
                && FleetId::from_snapshot(s).is_some_and(|id| Some(id) != identity.id)
        };
        Self {
            namesake: all.iter().any(other),
            identity,
            clocks,
        }
    }

    /// The fleet whose view it is.
    pub fn identity(&self) -> &FleetIdentity {
        &self.identity
    }

    /// Whose a snapshot is.
    pub fn owner(&self, snapshot: &ResticSnapshot) -> SnapshotOwner {
        let name = &snapshot.hostname;
        match snapshot.tag_value(FLEET_ID) {
            Some(tag) => match &self.identity.id {
                Some(id) if FleetId::parse(tag).as_ref() == Some(id) => SnapshotOwner::Ours,
                _ if *name == self.identity.name => {
                    SnapshotOwner::Other(tr!("{name} with the id {tag}"))
                }
                _ => SnapshotOwner::Other(name.clone()),
            },
            None if *name != self.identity.name => SnapshotOwner::Other(name.clone()),
            None if self.namesake => {
                SnapshotOwner::Other(tr!("{name}, made before fleets had ids"))
            }
            None => SnapshotOwner::Ours,
        }
    }

    /// Whether it is this fleet's.
    pub fn is_ours(&self, snapshot: &ResticSnapshot) -> bool {
        self.owner(snapshot) == SnapshotOwner::Ours
    }

    /// Whether it is dated in the future: a clock was wrong.
    pub fn is_ahead(&self, snapshot: &ResticSnapshot) -> bool {
        self.clocks.is_ahead(snapshot.time)
    }

    /// Returns this fleet's snapshots that are dated in the future. While there are any, nothing
    /// may be removed by age: a clock was wrong.
    pub fn dated_ahead<'a>(&self, all: &'a [ResticSnapshot]) -> Vec<&'a ResticSnapshot> {
        let wrong = |s: &&ResticSnapshot| self.is_ours(s) && self.is_ahead(s);
        all.iter().filter(wrong).collect()
    }

    /// Returns this fleet's snapshots of an application that may be chosen when the operator has
    /// named none, the newest first; at least one.
    ///
    /// # Errors
    /// [`SnapshotRefusal`]: there is none, or it can't be told which is the newest.
    pub fn candidates<'a>(
        &self,
        app: &str,
        all: &'a [ResticSnapshot],
    ) -> Result<Vec<&'a ResticSnapshot>, SnapshotRefusal> {
        let mut of_app: Vec<&ResticSnapshot> =
            all.iter().filter(|s| s.app() == Some(app)).collect();
        of_app.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.id.cmp(&b.id)));
        let short = |s: &ResticSnapshot| s.id.get(..8).unwrap_or(&s.id).to_owned();
        let (ours, others): (Vec<&ResticSnapshot>, Vec<&ResticSnapshot>) =
            of_app.into_iter().partition(|s| self.is_ours(s));
        let (ahead, sound): (Vec<&ResticSnapshot>, Vec<&ResticSnapshot>) =
            ours.into_iter().partition(|s| self.is_ahead(s));
        match (sound.first(), ahead.first(), others.first()) {
            (Some(newest), ..) if self.clocks.may_be_ahead(newest.time) => {
                Err(SnapshotRefusal::Clocks {
                    newest: short(newest),
                    clocks: self.clocks,
                })
            }
            (Some(_), ..) => Ok(sound),
            (None, Some(latest), _) => Err(SnapshotRefusal::Ahead {
                latest: short(latest),
            }),
            (None, None, Some(newest)) => Err(SnapshotRefusal::Others {
                newest: short(newest),
                fleet: self
                    .owner(newest)
                    .other_fleet()
                    .unwrap_or_default()
                    .to_owned(),
            }),
            (None, None, None) => Err(SnapshotRefusal::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "00000000000000aa";
    const B: &str = "00000000000000bb";

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3600).unwrap()
    }

    fn snapshot(id: &str, host: &str, fleet: Option<&str>, hours: i64) -> ResticSnapshot {
        let mut tags = vec!["app=shop".to_owned(), "matou".to_owned()];
        tags.extend(fleet.map(|f| format!("fleet-id={f}")));
        serde_json::from_value(serde_json::json!({
            "id": id, "hostname": host, "tags": tags, "time": at(hours),
        }))
        .unwrap()
    }

    fn view(id: Option<&str>, all: &[ResticSnapshot], here: i64, storage: i64) -> SnapshotView {
        let identity = FleetIdentity {
            name: "f".into(),
            id: id.and_then(FleetId::parse),
        };
        let clocks = ClockPair {
            here: at(here),
            storage: at(storage),
        };
        SnapshotView::new(identity, all, clocks)
    }

    #[test]
    fn an_id_is_sixteen_digits_and_never_the_same() {
        let id = FleetId::random();
        assert_eq!(FleetId::parse(&format!("{id}\n")), Some(id.clone()));
        assert_ne!(id, FleetId::random());
        for wrong in [
            "",
            "00",
            "00000000000000AA",
            "00000000000000a;",
            "../../../../../.",
        ] {
            assert_eq!(FleetId::parse(wrong), None, "{wrong}");
        }
    }

    /// Every combination of whose id the asking fleet has, whose id and name the snapshot bears, and
    /// whether a namesake is there.
    #[test]
    fn a_snapshot_is_of_one_fleet_at_most() {
        for own in [None, Some(A)] {
            for host in ["f", "g"] {
                for tag in [None, Some(A), Some(B), Some("no id")] {
                    for namesake in [false, true] {
                        let one = snapshot("1", host, tag, 1);
                        let mut all = vec![one.clone()];
                        if namesake {
                            all.push(snapshot("2", "f", Some(B), 1));
                        }
                        let shared = namesake
                            || (host == "f"
                                && tag
                                    .and_then(FleetId::parse)
                                    .is_some_and(|t| Some(t) != own.and_then(FleetId::parse)));
                        let ours = match tag {
                            Some(tag) => own == Some(tag),
                            None => host == "f" && !shared,
                        };
                        let case = format!("{own:?} {host} {tag:?} {namesake}");
                        let mine = view(own, &all, 9, 9);
                        assert_eq!(mine.is_ours(&one), ours, "{case}");
                        // No other fleet that there is claims it too.
                        let theirs = SnapshotView::new(
                            FleetIdentity {
                                name: "f".into(),
                                id: FleetId::parse(B),
                            },
                            &all,
                            mine.clocks,
                        );
                        let both = ours && theirs.is_ours(&one);
                        assert!(!both || (tag.is_none() && all.len() == 1), "{case}");
                        assert_eq!(mine.owner(&one).other_fleet().is_none(), ours, "{case}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_renamed_fleet_keeps_what_bears_its_id() {
        let all = [snapshot("1", "before", Some(A), 1)];
        assert!(view(Some(A), &all, 9, 9).is_ours(&all[0]));
        assert_eq!(
            view(Some(B), &all, 9, 9).owner(&all[0]),
            SnapshotOwner::Other("before".into())
        );
        assert_eq!(
            view(Some(B), &[snapshot("1", "f", Some(A), 1)], 9, 9).owner(&snapshot(
                "1",
                "f",
                Some(A),
                1
            )),
            SnapshotOwner::Other(format!("f with the id {A}"))
        );
    }

    fn newest(view: &SnapshotView, all: &[ResticSnapshot]) -> Result<String, SnapshotRefusal> {
        view.candidates("shop", all).map(|c| c[0].id.clone())
    }

    #[test]
    fn the_newest_is_ours_and_not_from_the_future() {
        let all = [
            snapshot("legacy", "f", None, 1),
            snapshot("ours", "f", Some(A), 5),
            snapshot("theirs", "g", Some(B), 8),
            snapshot("ahead", "f", Some(A), 500),
        ];
        let right = view(Some(A), &all, 9, 9);
        assert_eq!(newest(&right, &all), Ok("ours".into()));
        assert_eq!(right.dated_ahead(&all).len(), 1);
        assert_eq!(newest(&right, &all[..1]), Ok("legacy".into()));
        assert_eq!(
            right.candidates("blog", &all),
            Err(SnapshotRefusal::Nothing)
        );
        let theirs = SnapshotRefusal::Others {
            newest: "theirs".into(),
            fleet: "g".into(),
        };
        assert_eq!(newest(&right, &all[2..3]), Err(theirs));
        let ahead = SnapshotRefusal::Ahead {
            latest: "ahead".into(),
        };
        assert_eq!(newest(&right, &all[2..]), Err(ahead));
        // A few minutes are none.
        let edge = [snapshot("edge", "f", Some(A), 9)];
        let clocks = |minutes: i64| {
            let now = at(9) - SignedDuration::from_mins(minutes);
            SnapshotView::new(
                right.identity.clone(),
                &edge,
                ClockPair {
                    here: now,
                    storage: now,
                },
            )
        };
        assert_eq!(newest(&clocks(10), &edge), Ok("edge".into()));
        assert!(newest(&clocks(11), &edge).is_err());
    }

    #[test]
    fn clocks_that_disagree_choose_nothing_that_depends_on_them() {
        let all = [
            snapshot("old", "f", Some(A), 5),
            snapshot("doubtful", "f", Some(A), 50),
        ];
        for (here, storage) in [(9, 60), (60, 9)] {
            let view = view(Some(A), &all, here, storage);
            assert!(view.dated_ahead(&all).is_empty());
            let refused = newest(&view, &all).unwrap_err();
            assert!(
                matches!(&refused, SnapshotRefusal::Clocks { newest, .. } if newest == "doubtful")
            );
            assert!(refused.sentence("shop", "/r").contains("correct the clock"));
            // It does not depend on them.
            assert_eq!(newest(&view, &all[..1]), Ok("old".into()));
        }
    }

    #[test]
    fn a_manifest_of_another_day_contradicts() {
        assert!(!contradicts_manifest(at(10), at(8)) && !contradicts_manifest(at(8), at(10)));
        assert!(contradicts_manifest(at(100), at(8)) && contradicts_manifest(at(8), at(100)));
    }
}
