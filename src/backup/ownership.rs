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

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::messages::Snapshot;

/// The tag that says which fleet made a snapshot.
pub const FLEET_ID: &str = "fleet-id";

/// Clocks may differ by so much.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// The manifest is written before the snapshot is begun, by another machine perhaps; between them lies
/// a wait for the repository of two hours at most. What is further apart was dated by a clock that was
/// wrong.
const APART: SignedDuration = SignedDuration::from_hours(6);

/// The name that a fleet has for ever: 16 hexadecimal digits, made once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FleetId(String);

impl FleetId {
    /// A new one.
    pub fn random() -> Self {
        Self(format!("{:016x}", rand::random::<u64>()))
    }

    /// From a tag or a file; `None` when it is no id.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let plain = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 16 && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// Of the fleet that made a snapshot.
    pub fn of(snapshot: &Snapshot) -> Option<Self> {
        Self::read(snapshot.tag(FLEET_ID)?)
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
pub struct Identity {
    /// restic's host of its snapshots.
    pub name: String,
    /// `None` before its first backup with one.
    pub id: Option<FleetId>,
}

/// Whose a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Ours,
    /// Of another fleet, named so that the two can be told apart.
    Other(String),
}

impl Owner {
    /// The other fleet.
    pub fn other(&self) -> Option<&str> {
        match self {
            Self::Ours => None,
            Self::Other(name) => Some(name),
        }
    }
}

/// What two clocks say now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    pub here: Timestamp,
    pub storage: Timestamp,
}

impl Clocks {
    /// Whether a time is ahead of both clocks: whatever it dates, it was not made then.
    pub fn is_ahead(self, time: Timestamp) -> bool {
        time.duration_since(self.here.max(self.storage)) > TOLERANCE
    }

    /// Whether a time is ahead of one of them at least.
    fn may_be_ahead(self, time: Timestamp) -> bool {
        time.duration_since(self.here.min(self.storage)) > TOLERANCE
    }
}

/// Whether what a snapshot says of the time it was made contradicts its date: its `manifest` was written
/// at another time by far.
pub fn contradicts(date: Timestamp, manifest: Timestamp) -> bool {
    date.duration_since(manifest).abs() > APART
}

/// Why no snapshot of an application can be taken that nobody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is none at all.
    Nothing,
    /// Those that there are belong to other fleets; the newest of them.
    Others { newest: String, fleet: String },
    /// All of this fleet's are dated in the future; the latest.
    Ahead { latest: String },
    /// The newest is ahead of one clock and not of the other.
    Clocks { newest: String, clocks: Clocks },
}

impl Refused {
    /// One sentence that says what to do; `repository` is where it was looked for.
    pub fn sentence(&self, app: &str, repository: &str) -> String {
        match self {
            Self::Nothing => format!("{app} has no snapshot in {repository}: it can't be restored"),
            Self::Others { newest, fleet } => format!(
                "{app} has no snapshot of this fleet in {repository}; the newest of the fleet {fleet} is {newest}: name it with --snapshot to restore that"
            ),
            Self::Ahead { latest } => format!(
                "every snapshot of {app} is dated in the future, because a clock was wrong: name the one that is wanted, as --snapshot {latest}; `matou snapshots {app}` lists them"
            ),
            Self::Clocks { newest, clocks } => format!(
                "the storage node's clock says {}, this machine's {}, and by one of them the snapshot {newest} of {app} is from the future: correct the clock that is wrong, or name a snapshot with --snapshot",
                clocks.storage.strftime("%F %R UTC"),
                clocks.here.strftime("%F %R UTC"),
            ),
        }
    }
}

/// A repository's snapshots as one fleet sees them. All that lists or chooses snapshots asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    identity: Identity,
    /// Another fleet has this one's name, and has made snapshots with its own id.
    namesake: bool,
    clocks: Clocks,
}

impl View {
    /// Of all snapshots of a repository.
    pub fn new(identity: Identity, all: &[Snapshot], clocks: Clocks) -> Self {
        let other = |s: &Snapshot| {
            s.hostname == identity.name && FleetId::of(s).is_some_and(|id| Some(id) != identity.id)
        };
        Self {
            namesake: all.iter().any(other),
            identity,
            clocks,
        }
    }

    /// The fleet whose view it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whose a snapshot is.
    pub fn owner(&self, snapshot: &Snapshot) -> Owner {
        let name = &snapshot.hostname;
        match snapshot.tag(FLEET_ID) {
            Some(tag) => match &self.identity.id {
                Some(id) if FleetId::read(tag).as_ref() == Some(id) => Owner::Ours,
                _ if *name == self.identity.name => {
                    Owner::Other(format!("{name} with the id {tag}"))
                }
                _ => Owner::Other(name.clone()),
            },
            None if *name != self.identity.name => Owner::Other(name.clone()),
            None if self.namesake => Owner::Other(format!("{name}, made before fleets had ids")),
            None => Owner::Ours,
        }
    }

    /// Whether it is this fleet's.
    pub fn is_ours(&self, snapshot: &Snapshot) -> bool {
        self.owner(snapshot) == Owner::Ours
    }

    /// Whether it is dated in the future: a clock was wrong.
    pub fn is_ahead(&self, snapshot: &Snapshot) -> bool {
        self.clocks.is_ahead(snapshot.time)
    }

    /// This fleet's snapshots that are dated in the future. What is removed by age while there are such
    /// ones is judged by a wrong clock.
    pub fn ahead<'a>(&self, all: &'a [Snapshot]) -> Vec<&'a Snapshot> {
        let wrong = |s: &&Snapshot| self.is_ours(s) && self.is_ahead(s);
        all.iter().filter(wrong).collect()
    }

    /// This fleet's snapshots of an application that may be taken though nobody named them, the newest
    /// first; one at least.
    ///
    /// # Errors
    /// [`Refused`]: there is none, or which is the newest can't be told.
    pub fn candidates<'a>(
        &self,
        app: &str,
        all: &'a [Snapshot],
    ) -> Result<Vec<&'a Snapshot>, Refused> {
        let mut of_app: Vec<&Snapshot> = all.iter().filter(|s| s.app() == Some(app)).collect();
        of_app.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.id.cmp(&b.id)));
        let short = |s: &Snapshot| s.id.get(..8).unwrap_or(&s.id).to_owned();
        let (ours, others): (Vec<&Snapshot>, Vec<&Snapshot>) =
            of_app.into_iter().partition(|s| self.is_ours(s));
        let (ahead, sound): (Vec<&Snapshot>, Vec<&Snapshot>) =
            ours.into_iter().partition(|s| self.is_ahead(s));
        match (sound.first(), ahead.first(), others.first()) {
            (Some(newest), ..) if self.clocks.may_be_ahead(newest.time) => Err(Refused::Clocks {
                newest: short(newest),
                clocks: self.clocks,
            }),
            (Some(_), ..) => Ok(sound),
            (None, Some(latest), _) => Err(Refused::Ahead {
                latest: short(latest),
            }),
            (None, None, Some(newest)) => Err(Refused::Others {
                newest: short(newest),
                fleet: self.owner(newest).other().unwrap_or_default().to_owned(),
            }),
            (None, None, None) => Err(Refused::Nothing),
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

    fn snapshot(id: &str, host: &str, fleet: Option<&str>, hours: i64) -> Snapshot {
        let mut tags = vec!["app=shop".to_owned(), "matou".to_owned()];
        tags.extend(fleet.map(|f| format!("fleet-id={f}")));
        serde_json::from_value(serde_json::json!({
            "id": id, "hostname": host, "tags": tags, "time": at(hours),
        }))
        .unwrap()
    }

    fn view(id: Option<&str>, all: &[Snapshot], here: i64, storage: i64) -> View {
        let identity = Identity {
            name: "f".into(),
            id: id.and_then(FleetId::read),
        };
        let clocks = Clocks {
            here: at(here),
            storage: at(storage),
        };
        View::new(identity, all, clocks)
    }

    #[test]
    fn an_id_is_sixteen_digits_and_never_the_same() {
        let id = FleetId::random();
        assert_eq!(FleetId::read(&format!("{id}\n")), Some(id.clone()));
        assert_ne!(id, FleetId::random());
        for wrong in [
            "",
            "00",
            "00000000000000AA",
            "00000000000000a;",
            "../../../../../.",
        ] {
            assert_eq!(FleetId::read(wrong), None, "{wrong}");
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
                                    .and_then(FleetId::read)
                                    .is_some_and(|t| Some(t) != own.and_then(FleetId::read)));
                        let ours = match tag {
                            Some(tag) => own == Some(tag),
                            None => host == "f" && !shared,
                        };
                        let case = format!("{own:?} {host} {tag:?} {namesake}");
                        let mine = view(own, &all, 9, 9);
                        assert_eq!(mine.is_ours(&one), ours, "{case}");
                        // No other fleet that there is claims it too.
                        let theirs = View::new(
                            Identity {
                                name: "f".into(),
                                id: FleetId::read(B),
                            },
                            &all,
                            mine.clocks,
                        );
                        let both = ours && theirs.is_ours(&one);
                        assert!(!both || (tag.is_none() && all.len() == 1), "{case}");
                        assert_eq!(mine.owner(&one).other().is_none(), ours, "{case}");
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
            Owner::Other("before".into())
        );
        assert_eq!(
            view(Some(B), &[snapshot("1", "f", Some(A), 1)], 9, 9).owner(&snapshot(
                "1",
                "f",
                Some(A),
                1
            )),
            Owner::Other(format!("f with the id {A}"))
        );
    }

    fn newest(view: &View, all: &[Snapshot]) -> Result<String, Refused> {
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
        assert_eq!(right.ahead(&all).len(), 1);
        assert_eq!(newest(&right, &all[..1]), Ok("legacy".into()));
        assert_eq!(right.candidates("blog", &all), Err(Refused::Nothing));
        let theirs = Refused::Others {
            newest: "theirs".into(),
            fleet: "g".into(),
        };
        assert_eq!(newest(&right, &all[2..3]), Err(theirs));
        let ahead = Refused::Ahead {
            latest: "ahead".into(),
        };
        assert_eq!(newest(&right, &all[2..]), Err(ahead));
        // A few minutes are none.
        let edge = [snapshot("edge", "f", Some(A), 9)];
        let clocks = |minutes: i64| {
            let now = at(9) - SignedDuration::from_mins(minutes);
            View::new(
                right.identity.clone(),
                &edge,
                Clocks {
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
            assert!(view.ahead(&all).is_empty());
            let refused = newest(&view, &all).unwrap_err();
            assert!(matches!(&refused, Refused::Clocks { newest, .. } if newest == "doubtful"));
            assert!(refused.sentence("shop", "/r").contains("correct the clock"));
            // It does not depend on them.
            assert_eq!(newest(&view, &all[..1]), Ok("old".into()));
        }
    }

    #[test]
    fn a_manifest_of_another_day_contradicts() {
        assert!(!contradicts(at(10), at(8)) && !contradicts(at(8), at(10)));
        assert!(contradicts(at(100), at(8)) && contradicts(at(8), at(100)));
    }
}
