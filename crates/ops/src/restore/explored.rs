//! Every interruption of a restore, explored: each command is ended at each of its steps, then the next
//! command is given, and ended at each of its steps too. Once in memory, as far as there is a state
//! that was not seen yet; once on a real file system with the scripts that a node runs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use super::renames::{FolderRename, SwapState, mark_path};
use super::state_machine::{self, BringUp, RestoreEnvironment, ServicePins, ServiceReplicas};
use super::swap_log::{
    FIND_EARLIER_DATA, INSPECT_SWAPS, REMOVE_FOLDER, RENAME_FOLDERS,
    parse_swap_states as read_seen, rename_args, swap_path_args,
};
use matou_backup::{FolderSwap, RestorePhase, RestoreState};
use matou_job::StepError;

/// What a folder, or a file, holds: where it came from, and what was written to it since.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Data {
    /// `before` is the only one of its kind; `snapshot` is in the repository too; `stranger` was made
    /// by nobody here.
    from: &'static str,
    writes: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Restore,
    /// The application does not answer afterwards.
    RestoreInVain,
    RestoreFile,
    Undo,
    Forget,
    Remove,
    RemoveVolumes,
    Deploy,
    Scale,
    Backup,
    /// The data is saved, and new images run on it.
    Update,
    /// They do not answer: the data is put back out of the snapshot.
    UpdateInVain,
    Erase,
    /// Somebody makes a folder where the application's was.
    Stranger,
}

const ACTS: [Act; 14] = [
    Act::Restore,
    Act::RestoreInVain,
    Act::RestoreFile,
    Act::Undo,
    Act::Forget,
    Act::Remove,
    Act::RemoveVolumes,
    Act::Deploy,
    Act::Scale,
    Act::Backup,
    Act::Update,
    Act::UpdateInVain,
    Act::Erase,
    Act::Stranger,
];

/// A storage node, n1, and a swarm of three. Docker keeps each volume on the node where a task wants it: that
/// of the files is on n1, that of the database on n2. Paths of other nodes begin with the node's name.
#[derive(Debug, Clone)]
struct World {
    disk: BTreeMap<PathBuf, Data>,
    state: Option<RestoreState>,
    services: BTreeMap<String, u64>,
    /// Where the tasks of a service are, or were last.
    at: BTreeMap<String, &'static str>,
    /// Where they may be alone.
    pinned: BTreeMap<String, String>,
    /// What the operator wants to run.
    wanted: BTreeMap<String, u64>,
    written: u32,
    /// Steps until the program, or the node, dies.
    steps: u32,
    dead: bool,
    /// What the operator has let go, having been shown it.
    let_go: BTreeSet<String>,
    /// Numbers for names, where dates stand in the real ones.
    named: u32,
    /// A job of the application has begun, and does not end.
    job_goes_on: bool,
    /// The real file system, when the scripts are run on one.
    real: Option<PathBuf>,
}

const FOLDER: &str = "/d/.matou/restores/shop";
const DEATH: &str = "dead";

fn live(name: &str) -> PathBuf {
    match name {
        "db" => on("n2", "/d/db"),
        _ => Path::new("/d").join(name),
    }
}

/// A path of a node.
fn on(node: &str, path: &str) -> PathBuf {
    match node {
        "n1" => PathBuf::from(path),
        _ => PathBuf::from(format!("/{node}{path}")),
    }
}

/// The node of a place.
fn node_of(place: Option<&str>) -> &str {
    place.unwrap_or("n1")
}

/// The volume that a service mounts.
fn volume_of(service: &str) -> Option<&'static str> {
    match service {
        "shop_web" | "other_web" => Some("files"),
        "shop_db" => Some("db"),
        _ => None,
    }
}

/// The node that has the volume of a service, which a restore exchanges.
fn pin_of(service: &str, state: &RestoreState) -> Option<String> {
    let mut volumes = state.swaps.iter().zip(&state.volumes);
    let (swap, _) = volumes.find(|(_, v)| volume_of(service) == Some(v))?;
    Some(node_of(swap.node.as_deref()).to_owned())
}

impl World {
    fn new() -> Self {
        let services: BTreeMap<String, u64> = [("shop_web", 2), ("shop_db", 1), ("other_web", 1)]
            .map(|(name, n)| (name.to_owned(), n))
            .into();
        let before = || Data {
            from: "before",
            writes: Vec::new(),
        };
        let mut world = Self {
            disk: BTreeMap::new(),
            state: None,
            wanted: services.clone(),
            at: services
                .keys()
                .map(|s| {
                    let node = if s == "shop_db" { "n2" } else { "n1" };
                    (s.clone(), node)
                })
                .collect(),
            pinned: BTreeMap::new(),
            services,
            written: 0,
            steps: u32::MAX,
            dead: false,
            let_go: BTreeSet::new(),
            named: 0,
            job_goes_on: false,
            real: None,
        };
        for name in ["files", "files/one", "db"] {
            world.disk.insert(live(name), before());
        }
        world.time_passes();
        world
    }

    fn step(&mut self) -> Result<(), StepError> {
        if self.dead || self.steps == 0 {
            self.dead = true;
            return Err(StepError::failed(DEATH));
        }
        self.steps -= 1;
        Ok(())
    }

    fn is_there(&self, path: &Path) -> bool {
        self.disk.keys().any(|p| p.starts_with(path))
    }

    fn below(&self, path: &Path) -> Vec<PathBuf> {
        let below = self.disk.keys().filter(|p| p.starts_with(path));
        below.cloned().collect()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), StepError> {
        if self.is_there(to) {
            return Err(StepError::failed(
                "it is there already: nothing is replaced",
            ));
        }
        for path in self.below(from) {
            let rest = path.strip_prefix(from).unwrap();
            let target = match rest.as_os_str().is_empty() {
                true => to.to_owned(),
                false => to.join(rest),
            };
            let data = self.disk.remove(&path).unwrap();
            self.disk.insert(target, data);
        }
        Ok(())
    }

    /// What a snapshot that is taken now would hold is of one time: never one folder of before a restore
    /// beside another of after it.
    fn check_saved(&self) {
        let from = |place: PathBuf| self.disk.get(&place).map(|data| data.from);
        let database = on(self.database_node(), "/d/db");
        let is_mixed = match (from(live("files")), from(database)) {
            (Some(files), Some(db)) => files != db && ![files, db].contains(&"stranger"),
            _ => false,
        };
        assert!(!is_mixed, "half of another time is saved:\n{self:#?}");
    }

    /// Sets how many tasks a service has. The scheduler puts those that start on another node than before
    /// wherever it may.
    fn set_tasks(&mut self, service: &str, tasks: u64) {
        let had = self.services.insert(service.to_owned(), tasks);
        if tasks == 0 || had.is_some_and(|n| n > 0) {
            return;
        }
        let all = ["n1", "n2", "n3"];
        let free = match self.at.get(service) {
            Some(&"n3") => "n2",
            _ => "n3",
        };
        let pin = self.pinned.get(service);
        let node = pin.map_or(free, |pin| all.into_iter().find(|n| n == pin).unwrap());
        self.at.insert(service.to_owned(), node);
        let state = self.state.as_ref().filter(|s| s.is_interrupted());
        for (swap, volume) in state.iter().flat_map(|s| s.swaps.iter().zip(&s.volumes)) {
            assert!(
                volume_of(service) != Some(volume) || node_of(swap.node.as_deref()) == node,
                "{service} comes up on {node}, where its volume is not:\n{self:#?}"
            );
        }
    }

    /// A deploy brings the constraints that are written down with the service.
    fn pin_as_said(&mut self, service: &str, state: &RestoreState) {
        if let Some((_, pins)) = state.pins.iter().find(|(name, _)| name == service) {
            self.pinned.insert(service.to_owned(), pins[0].clone());
        }
    }

    /// Where a service has its volume now.
    fn place(&self, service: &str) -> Option<PathBuf> {
        let node = self.at.get(service)?;
        Some(on(node, &format!("/d/{}", volume_of(service)?)))
    }

    /// The node that has the volume of the database, as it is now, else as the snapshot says.
    fn database_node(&self) -> &'static str {
        let runs = self.services.contains_key("shop_db");
        match runs {
            true => self.at["shop_db"],
            false => "n2",
        }
    }

    /// Takes away all of the application, in the order of the real job; ends where the program does.
    fn erase(&mut self) -> Result<(), StepError> {
        self.step()?;
        self.services.retain(|name, _| !name.starts_with("shop_"));
        let kept = Path::new(FOLDER).parent().unwrap().to_owned();
        self.step()?;
        self.state = None;
        // What another application uses stays.
        let others = ["n2", "n3"].map(|n| on(n, &kept.display().to_string()));
        let databases = ["n2", "n3"].map(|n| on(n, "/d/db"));
        for place in [kept].into_iter().chain(others).chain(databases) {
            for path in self.below(&place) {
                self.step()?;
                self.disk.remove(&path);
            }
        }
        self.step()
    }

    /// Whatever runs writes.
    fn time_passes(&mut self) {
        for (service, below) in [
            ("shop_web", ""),
            ("shop_web", "one"),
            ("shop_db", ""),
            ("other_web", ""),
        ] {
            let Some(place) = self.place(service) else {
                continue;
            };
            if self.services.get(service).is_none_or(|n| *n == 0) {
                continue;
            }
            let new = Data {
                from: "stranger",
                writes: Vec::new(),
            };
            // The engine makes the volume where there is none, when the tasks have moved there.
            if *self.at[service] != *"n1" || volume_of(service) == Some("db") {
                self.disk.entry(place.clone()).or_insert(new);
            }
            let place = match below {
                "" => place,
                _ => place.join(below),
            };
            if let Some(data) = self.disk.get_mut(&place) {
                self.written += 1;
                data.writes.push(self.written);
            }
        }
    }

    /// What can't be had again from the repository.
    fn precious(&self, below: &Path) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for (path, data) in self.disk.iter().filter(|(p, _)| p.starts_with(below)) {
            if data.from == "before" {
                // There is one of each; its writes tell which.
                all.insert(format!("before {}", data.writes.first().unwrap_or(&0)));
            }
            let _ = path;
            all.extend(data.writes.iter().map(|w| format!("write {w}")));
        }
        all
    }

    /// The same for worlds that differ in nothing that matters.
    fn print(&self) -> String {
        let mut text = format!(
            "{:?} {:?} {:?} {:?} ",
            self.services, self.wanted, self.at, self.pinned
        );
        if let Some(state) = &self.state {
            text += &format!(
                "{:?} {:?} {} ",
                state.phase,
                state.replicas,
                state.swaps.len()
            );
        }
        for (path, data) in &self.disk {
            let path: String = path
                .display()
                .to_string()
                .split('~')
                .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()))
                .collect();
            let name = match path.split_once("/found/") {
                Some((before, _)) => format!("{before}/found"),
                None => path,
            };
            text += &format!("{name} {} {}; ", data.from, !data.writes.is_empty());
        }
        text
    }

    /// An update is refused while its data could not be put back.
    fn can_be_updated(&self) -> bool {
        let keeps = |s: &RestoreState| s.phase == RestorePhase::Restored;
        let runs = self.services.keys().any(|s| s.starts_with("shop_"));
        runs && !self.state.as_ref().is_some_and(keeps)
    }

    fn is_interrupted(&self) -> bool {
        self.state
            .as_ref()
            .is_some_and(RestoreState::is_interrupted)
    }
}

/// The world while a command works on it.
struct Site {
    world: Mutex<World>,
    file: bool,
    in_vain: bool,
    /// There is no room to write that a restore is done.
    full: bool,
}

impl Site {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn swaps(&self) -> Vec<FolderSwap> {
        let swap = |at: usize, name: &str, new: &str| FolderSwap {
            node: None,
            live: live(name),
            new: Path::new(FOLDER).join(new),
            old: Path::new(FOLDER).join(format!("old/{at}-{name}")),
        };
        let node = self.world().database_node();
        let database = FolderSwap {
            node: (node != "n1").then(|| node.to_owned()),
            live: on(node, "/d/db"),
            new: on(node, FOLDER).join("new/1"),
            old: on(node, FOLDER).join("old/1-db"),
        };
        match self.file {
            true => vec![FolderSwap {
                old: Path::new(FOLDER).join("old/0-one"),
                ..swap(0, "files/one", "staged/one")
            }],
            false => vec![swap(0, "files", "staged/files"), database],
        }
    }

    fn next(&self) -> RestoreState {
        let own = |w: &World| w.services.keys().any(|s| s.starts_with("shop_"));
        RestoreState {
            app: "shop".into(),
            phase: RestorePhase::Staging,
            begun: jiff::Timestamp::UNIX_EPOCH,
            snapshot: String::new(),
            snapshot_at: jiff::Timestamp::UNIX_EPOCH,
            folder: FOLDER.into(),
            swaps: self.swaps(),
            volumes: match self.file {
                true => Vec::new(),
                false => vec!["files".into(), "db".into()],
            },
            replicas: Vec::new(),
            pins: Vec::new(),
            deployed: !self.file && {
                let world = self.world();
                state_machine::has_to_deploy(world.state.as_ref(), own(&world))
            },
        }
    }

    /// restic writes the snapshot beside.
    fn stage(&self) -> Result<(), StepError> {
        let mut world = self.world();
        let places: &[&str] = match self.file {
            true => &["staged/one"],
            false => &["staged/files", "staged/files/one", "staged/dump"],
        };
        for place in places {
            world.step()?;
            let data = Data {
                from: "snapshot",
                writes: Vec::new(),
            };
            world.disk.insert(Path::new(FOLDER).join(place), data);
        }
        if self.file {
            return Ok(());
        }
        // Sent to the other node, and whole before it has its name.
        let folder = on(world.database_node(), FOLDER);
        for place in ["coming/1", "coming/1/part"] {
            world.step()?;
            let data = Data {
                from: "snapshot",
                writes: Vec::new(),
            };
            world.disk.insert(folder.join(place), data);
        }
        world.step()?;
        world.rename(&folder.join("coming/1"), &folder.join("new/1"))
    }

    async fn restore(&self) -> Result<(), StepError> {
        let earlier = self.world().state.clone();
        let next = self.next();
        state_machine::begin_restore(self, earlier, &next).await?;
        self.stage()?;
        let mut state = next;
        let written = || async { Ok(self.world().state.clone()) };
        let done = state_machine::attempt_restore(self, self, &mut state, written).await;
        done.map_err(|taken| match taken.kept {
            Ok(_) => taken.why,
            Err(worse) => worse,
        })
    }

    async fn undo(&self) -> Result<(), StepError> {
        let Some(mut state) = self.world().state.clone() else {
            return Ok(());
        };
        match state.phase {
            RestorePhase::Restored => state_machine::undo_restore(self, &mut state).await,
            _ => state_machine::resolve_restore(self, &mut state).await,
        }
    }

    async fn forget(&self) -> Result<(), StepError> {
        {
            let mut world = self.world();
            let phase = world.state.as_ref().map(|s| s.phase);
            // What its plan refuses.
            if phase.is_some_and(|p| {
                matches!(
                    p,
                    RestorePhase::Staging
                        | RestorePhase::Restoring
                        | RestorePhase::Loading
                        | RestorePhase::Undoing
                )
            }) {
                return Ok(());
            }
            for node in ["n1", "n2", "n3"] {
                let shown = world.precious(on(node, FOLDER).parent().unwrap());
                world.let_go.extend(shown);
            }
        }
        let state = self.world().state.clone();
        if let Some(mut state) = state {
            state_machine::forget_restore(self, &mut state).await?;
        }
        let mut world = self.world();
        for node in ["n1", "n2", "n3"] {
            for path in world.below(on(node, FOLDER).parent().unwrap()) {
                if path.display().to_string().contains('~') {
                    world.step()?;
                    world.disk.remove(&path);
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl RestoreEnvironment for Site {
    async fn write_state(&self, state: &RestoreState) -> Result<(), StepError> {
        let mut world = self.world();
        world.step()?;
        if self.full && state.phase == RestorePhase::Restored {
            return Err(StepError::failed("no room is left"));
        }
        world.state = Some(state.clone());
        Ok(())
    }

    async fn remove_state(&self) -> Result<(), StepError> {
        let mut world = self.world();
        world.step()?;
        world.state = None;
        Ok(())
    }

    async fn remove_folder(
        &self,
        state: &RestoreState,
        empty_handed: bool,
    ) -> Result<(), StepError> {
        let mut world = self.world();
        for (_, folder) in state.places() {
            if world.real.is_some() {
                let how = if empty_handed { "empty-handed" } else { "all" };
                let folder = folder.display().to_string();
                world.script(REMOVE_FOLDER, &[folder, how.into()])?;
                continue;
            }
            let is_kept = |p: &PathBuf| {
                let kept = ["old", "found"].map(|d| folder.join(d));
                kept.iter().any(|d| p.starts_with(d)) && !p.display().to_string().ends_with(".none")
            };
            let below = world.below(folder);
            if empty_handed && below.iter().any(is_kept) {
                return Err(StepError::failed("it still holds data of before"));
            }
            for path in below {
                world.step()?;
                world.disk.remove(&path);
            }
        }
        Ok(())
    }

    async fn rename_away(&self, state: &RestoreState, what: &str) -> Result<(), StepError> {
        let mut world = self.world();
        for (_, folder) in state.places() {
            world.step()?;
            world.named += 1;
            let to = PathBuf::from(format!("{}~{}{what}", folder.display(), world.named));
            world.rename(folder, &to)?;
        }
        Ok(())
    }

    async fn keeps_earlier_data(&self, state: &RestoreState) -> Result<bool, StepError> {
        let mut world = self.world();
        for (_, folder) in state.places() {
            let keeps = match world.real.is_some() {
                true => {
                    let folder = folder.display().to_string();
                    !world.script(FIND_EARLIER_DATA, &[folder])?.is_empty()
                }
                false => world.below(folder).iter().any(|p| {
                    let kept = ["old", "found"].map(|d| folder.join(d));
                    kept.iter().any(|d| p.starts_with(d))
                        && !p.display().to_string().ends_with(".none")
                }),
            };
            if keeps {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn stop_staging(&self, _: &RestoreState) -> Result<(), StepError> {
        self.world().step()
    }

    async fn inspect_swaps(&self, state: &RestoreState) -> Result<Vec<SwapState>, StepError> {
        let mut world = self.world();
        if world.real.is_some() {
            let text = world.script(INSPECT_SWAPS, &swap_path_args(&state.folder, &state.swaps))?;
            return Ok(read_seen(&text, state.swaps.len()).unwrap());
        }
        let look = |swap: &FolderSwap| SwapState {
            live: world.is_there(&swap.live),
            new: world.is_there(&swap.new),
            old: world.is_there(&swap.old),
            mark: world.is_there(&mark_path(swap)),
        };
        Ok(state.swaps.iter().map(look).collect())
    }

    async fn apply_renames(
        &self,
        _: Option<&str>,
        renames: &[FolderRename],
    ) -> Result<(), StepError> {
        let mut world = self.world();
        if world.real.is_some() {
            return world
                .script(RENAME_FOLDERS, &rename_args(renames))
                .map(drop);
        }
        for rename in renames {
            world.step()?;
            match rename {
                FolderRename::SetAside { from, to } | FolderRename::Place { from, to } => {
                    world.rename(from, to)?;
                }
                FolderRename::Mark(path) => {
                    let none = Data {
                        from: "mark",
                        writes: Vec::new(),
                    };
                    world.disk.insert(path.clone(), none);
                }
                FolderRename::Unmark(path) => drop(world.disk.remove(path)),
            }
        }
        Ok(())
    }

    async fn query_replicas(&self, state: &RestoreState) -> Result<ServiceReplicas, StepError> {
        let world = self.world();
        let all = world.services.iter();
        Ok(all
            .filter(|(name, _)| !state.deployed || !name.starts_with("shop_"))
            .map(|(name, n)| (name.clone(), *n))
            .collect())
    }

    async fn wait_for_jobs(&self, _: &ServiceReplicas) -> Result<(), StepError> {
        match self.world().job_goes_on {
            true => Err(StepError::failed("the job is not done")),
            false => Ok(()),
        }
    }

    async fn stop_services(&self, state: &RestoreState) -> Result<(), StepError> {
        let mut world = self.world();
        if state.deployed {
            world.step()?;
            world.services.retain(|name, _| !name.starts_with("shop_"));
            world.pinned.retain(|name, _| !name.starts_with("shop_"));
        }
        for (name, _) in &state.replicas {
            world.step()?;
            if let Some(n) = world.services.get_mut(name) {
                *n = 0;
            }
        }
        Ok(())
    }

    async fn give_back_replicas(&self, replicas: &ServiceReplicas) -> Result<(), StepError> {
        let mut world = self.world();
        for (name, n) in replicas {
            world.step()?;
            if world.services.contains_key(name) {
                world.set_tasks(name, *n);
            }
            world.time_passes();
        }
        Ok(())
    }

    async fn query_pins(&self, state: &RestoreState) -> Result<ServicePins, StepError> {
        let world = self.world();
        let mut pins = Vec::new();
        for service in world.services.keys() {
            if state.deployed && service.starts_with("shop_") || world.pinned.contains_key(service)
            {
                continue;
            }
            if let Some(node) = pin_of(service, state) {
                pins.push((service.clone(), vec![node]));
            }
        }
        Ok(pins)
    }

    async fn pin_services(&self, state: &RestoreState) -> Result<(), StepError> {
        let mut world = self.world();
        for (service, pins) in &state.pins {
            world.step()?;
            if world.services.contains_key(service) {
                world.pinned.insert(service.clone(), pins[0].clone());
            }
        }
        Ok(())
    }

    async fn unpin_services(&self, state: &RestoreState) -> Result<(), StepError> {
        let mut world = self.world();
        for (service, _) in &state.pins {
            world.step()?;
            world.pinned.remove(service);
        }
        Ok(())
    }

    async fn tell_operator(&self, _: String) {}
}

#[async_trait]
impl BringUp for Site {
    fn environment(&self) -> &dyn RestoreEnvironment {
        self
    }

    fn keeps_services_running(&self) -> bool {
        self.file
    }

    fn loads_dumps(&self) -> bool {
        !self.file
    }

    async fn find_deploy_pins(&self, state: &RestoreState) -> Result<ServicePins, StepError> {
        let world = self.world();
        let own = world.wanted.keys().filter(|s| s.starts_with("shop_"));
        let pins = own.filter_map(|s| Some((s.clone(), vec![pin_of(s, state)?])));
        Ok(pins.collect())
    }

    async fn prepare_new_data(&self) -> Result<(), StepError> {
        self.world().step()
    }

    async fn load_databases(&self, state: &RestoreState) -> Result<(), StepError> {
        let mut world = self.world();
        world.step()?;
        let n = state.replicas.iter().find(|(name, _)| name == "shop_db");
        let n = n.map_or(1, |(_, n)| *n);
        if state.deployed {
            world.pin_as_said("shop_db", state);
        }
        world.set_tasks("shop_db", n);
        world.time_passes();
        world.step()
    }

    async fn start_services(&self, state: &RestoreState) -> Result<(), StepError> {
        if state.deployed {
            let mut world = self.world();
            world.step()?;
            let wanted = world.wanted.clone();
            let own = wanted.into_iter().filter(|(s, _)| s.starts_with("shop_"));
            for (service, n) in own {
                world.pin_as_said(&service, state);
                world.set_tasks(&service, n);
            }
            world.time_passes();
        }
        self.give_back_replicas(&state.replicas).await
    }

    async fn run_load_hooks(&self) -> Result<(), StepError> {
        self.world().step()
    }

    async fn check_answers(&self) -> Result<(), StepError> {
        self.world().step()?;
        match self.in_vain {
            true => Err(StepError::failed("it does not answer")),
            false => Ok(()),
        }
    }

    async fn remove_staging(&self) -> Result<(), StepError> {
        let mut world = self.world();
        let folder = on(world.database_node(), FOLDER);
        for rest in [Path::new(FOLDER).join("staged"), folder.join("new")] {
            world.step()?;
            for path in world.below(&rest) {
                world.disk.remove(&path);
            }
        }
        Ok(())
    }
}

/// Gives one command, which dies after so many steps; answers with the world, and whether the command
/// came to its end.
fn give(act: Act, world: &World, steps: u32) -> (World, bool) {
    let mut world = World {
        steps,
        dead: false,
        ..world.clone()
    };
    let file = act == Act::RestoreFile;
    let in_vain = act == Act::RestoreInVain;
    let settled = !world.is_interrupted();
    match act {
        // What other jobs ask before they begin.
        Act::Remove
        | Act::RemoveVolumes
        | Act::Deploy
        | Act::Scale
        | Act::Backup
        | Act::Update
        | Act::UpdateInVain
        | Act::Erase
            if !settled =>
        {
            return (world, false);
        }
        Act::Backup => {
            world.check_saved();
            return (world, false);
        }
        Act::Update | Act::UpdateInVain if !world.can_be_updated() => return (world, false),
        Act::Update | Act::UpdateInVain => {
            world.check_saved();
            // The snapshot, then the images.
            for _ in 0..2 {
                if world.step().is_err() {
                    return (world, false);
                }
                world.time_passes();
            }
            if act == Act::Update {
                return (world, false);
            }
        }
        Act::Erase => {
            for node in ["n1", "n2", "n3"] {
                let shown = world.precious(on(node, FOLDER).parent().unwrap());
                world.let_go.extend(shown);
                let shown = world.precious(&on(node, "/d/db"));
                world.let_go.extend(shown);
            }
            let done = world.erase().is_ok();
            return (world, done);
        }
        Act::Remove | Act::RemoveVolumes => {
            world.services.retain(|name, _| !name.starts_with("shop_"));
            if act == Act::RemoveVolumes {
                for place in [live("files"), live("db"), on("n3", "/d/db")] {
                    let shown = world.precious(&place);
                    world.let_go.extend(shown);
                    for path in world.below(&place) {
                        world.disk.remove(&path);
                    }
                }
            }
            return (world, false);
        }
        Act::Deploy => {
            // The stack keeps the files on the storage node, and says nothing of the database.
            world.pinned.insert("shop_web".into(), "n1".to_owned());
            for (name, n) in [("shop_web", 2), ("shop_db", 1), ("shop_more", 1)] {
                world.set_tasks(name, n);
                world.wanted.insert(name.into(), n);
            }
            world.pinned.remove("shop_web");
            // It makes the folders that are not there.
            for service in ["shop_web", "shop_db"] {
                let empty = Data {
                    from: "stranger",
                    writes: Vec::new(),
                };
                let place = world.place(service).unwrap();
                if !world.is_there(&place) {
                    world.disk.insert(place, empty);
                }
            }
            return (world, false);
        }
        Act::Scale => {
            if world.services.contains_key("shop_web") {
                world.services.insert("shop_web".into(), 3);
                world.wanted.insert("shop_web".into(), 3);
            }
            return (world, false);
        }
        Act::Stranger => {
            if !world.is_there(&live("files")) {
                world.written += 1;
                let data = Data {
                    from: "stranger",
                    writes: vec![world.written],
                };
                world.disk.insert(live("files"), data);
            }
            return (world, false);
        }
        Act::RestoreFile if !world.is_there(&live("files")) => return (world, false),
        _ => {}
    }
    let site = Site {
        world: Mutex::new(world),
        file,
        in_vain,
        full: false,
    };
    let work = async {
        match act {
            Act::Undo => site.undo().await,
            Act::Forget => site.forget().await,
            _ => site.restore().await,
        }
    };
    let done = futures_util::FutureExt::now_or_never(work).expect("nothing is waited for");
    let world = site.world.into_inner().unwrap();
    let ended = !world.dead;
    if let Err(why) = &done
        && ended
    {
        let why = why.to_string();
        let refusals = [
            "is not let go",
            "does not answer",
            "resolves it first",
            "the job is not done",
        ];
        let told = refusals.iter().any(|r| why.contains(r));
        assert!(told, "{act:?} can't be done: {why}\n{world:#?}");
    }
    (world, ended && done.is_ok())
}

/// What must be true after every command, ended or not.
fn check(before: &World, after: &World, path: &[String]) {
    let root = Path::new("/");
    let gone: Vec<String> = before
        .precious(root)
        .difference(&after.precious(root))
        .filter(|what| !after.let_go.contains(*what))
        .cloned()
        .collect();
    assert!(
        gone.is_empty(),
        "lost: {gone:?} by {path:?}\n{before:#?}\n{after:#?}"
    );
}

/// What must be true when a command says that it is done.
fn check_done(act: Act, after: &World, path: &[String]) {
    if matches!(act, Act::Restore | Act::Undo | Act::RestoreFile) {
        assert!(!after.is_interrupted(), "{path:?}");
        assert!(after.pinned.is_empty(), "{path:?}\n{after:#?}");
        for (name, n) in &after.services {
            assert_eq!(
                after.wanted.get(name),
                Some(n),
                "{name} after {path:?}\n{after:#?}"
            );
        }
    }
    if act == Act::Erase {
        let kept = Path::new(FOLDER).parent().unwrap();
        assert!(after.state.is_none() && !after.is_there(kept), "{path:?}");
        for node in ["n2", "n3"] {
            let kept = on(node, &kept.display().to_string());
            assert!(!after.is_there(&kept), "{path:?}");
            assert!(!after.is_there(&on(node, "/d/db")), "{path:?}");
        }
    }
    if act == Act::Restore {
        for service in ["shop_web", "shop_db"] {
            assert!(after.services.contains_key(service), "{path:?}");
            let place = after.place(service).unwrap();
            assert_eq!(after.disk[&place].from, "snapshot", "{path:?}\n{after:#?}");
        }
    }
}

/// Every command ended at every step, then every next one ended at every step, as long as that leads to
/// a world that was not seen yet, up to three commands.
#[test]
fn no_order_of_commands_and_interruptions_loses_data() {
    let mut seen = HashSet::new();
    let mut edge = vec![(World::new(), Vec::<String>::new())];
    let mut tried = 0;
    for depth in 0..3 {
        let mut next = Vec::new();
        for (world, path) in &edge {
            for act in ACTS {
                for steps in 0.. {
                    let (mut after, done) = give(act, world, steps);
                    let came_to_end = !after.dead;
                    tried += 1;
                    let mut path = path.clone();
                    path.push(format!("{act:?} for {steps} steps"));
                    check(world, &after, &path);
                    if done {
                        check_done(act, &after, &path);
                    }
                    after.time_passes();
                    // From everywhere one command leads out.
                    let (out, led) = give(Act::Undo, &after, u32::MAX);
                    check(&after, &out, &path);
                    assert!(led && !out.is_interrupted(), "no way out after {path:?}");
                    check_done(Act::Undo, &out, &path);
                    if seen.insert(after.print()) && depth < 2 {
                        next.push((after, path));
                    }
                    if came_to_end {
                        break;
                    }
                }
            }
        }
        edge = next;
    }
    eprintln!("{tried} commands, {} worlds", seen.len());
    tried_faults(&format!(
        "{tried} commands, each of restore, undo, forget, update, erase and the next restore ended at any step, in {} states, in memory",
        seen.len()
    ));
    assert!(tried > 10_000, "{tried}");
}

/// All is done, but that can't be written down: the application stays on what was restored, and both ways
/// out are open.
#[test]
fn what_runs_is_not_taken_back_for_want_of_a_note() {
    let site = Site {
        world: Mutex::new(World {
            steps: u32::MAX,
            ..World::new()
        }),
        file: false,
        in_vain: false,
        full: true,
    };
    let work = async {
        let mut state = site.next();
        state_machine::begin_restore(&site, None, &state)
            .await
            .unwrap();
        site.stage().unwrap();
        let written = || async { Ok(site.world().state.clone()) };
        let failed = state_machine::attempt_restore(&site, &site, &mut state, written).await;
        assert!(failed.unwrap_err().in_use);
    };
    futures_util::FutureExt::now_or_never(work).expect("nothing is waited for");
    let world = site.world.into_inner().unwrap();
    for name in ["files", "db"] {
        assert_eq!(world.disk[&live(name)].from, "snapshot");
    }
    assert_eq!(world.services, world.wanted);
    assert_eq!(world.state.as_ref().unwrap().phase, RestorePhase::Started);
    let (undone, led) = give(Act::Undo, &world, u32::MAX);
    assert!(led && !undone.is_interrupted());
    let (let_go, led) = give(Act::Forget, &world, u32::MAX);
    assert!(led && let_go.state.is_none());
    assert_eq!(let_go.disk[&live("files")].from, "snapshot");
}

/// A restore, and an undo, that meet a job which does not end leave all as it was, and what they had begun
/// away.
#[test]
fn a_job_that_does_not_end_leaves_nothing_to_take_back() {
    let busy = World {
        job_goes_on: true,
        ..World::new()
    };
    let (after, led) = give(Act::Restore, &busy, u32::MAX);
    assert!(!led && after.state.is_none(), "{:?}", after.state);
    assert_eq!(after.services, busy.services);
    assert!(after.below(Path::new(FOLDER)).is_empty());
    for name in ["files", "db"] {
        assert_eq!(after.disk[&live(name)].from, "before");
    }

    let (restored, led) = give(Act::Restore, &World::new(), u32::MAX);
    assert!(led);
    let busy = World {
        job_goes_on: true,
        ..restored
    };
    let (after, led) = give(Act::Undo, &busy, u32::MAX);
    assert!(!led);
    assert_eq!(after.state.unwrap().phase, RestorePhase::Restored);
    assert_eq!(after.services, after.wanted);
    assert_eq!(after.disk[&live("files")].from, "snapshot");
}

impl World {
    /// Runs a script as a node does, on the real file system below `real`, which is what the world's
    /// disk is made into and read back from. Each program that the script starts is a step.
    fn script(&mut self, script: &str, args: &[String]) -> Result<String, StepError> {
        self.step()?;
        let root = self.real.clone().unwrap();
        let disk = root.join("disk");
        let _ = std::fs::remove_dir_all(&disk);
        for node in ["n1", "n2", "n3"] {
            let folder = on(node, FOLDER);
            std::fs::create_dir_all(disk.join(folder.strip_prefix("/").unwrap())).unwrap();
        }
        for (path, data) in &self.disk {
            let path = disk.join(path.strip_prefix("/").unwrap());
            let text = serde_json::to_string(&(data.from, &data.writes)).unwrap();
            match data.from {
                "mark" => {
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, "").unwrap();
                }
                _ => {
                    std::fs::create_dir_all(&path).unwrap();
                    std::fs::write(path.join("data"), text).unwrap();
                }
            }
        }
        let args = args.iter().map(|a| match a.starts_with('/') {
            true => format!("{}{a}", disk.display()),
            false => a.clone(),
        });
        std::fs::write(root.join("left"), self.steps.to_string()).unwrap();
        let out = Command::new("sh")
            .args(["-c", script, "sh"])
            .args(args)
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", root.join("bin").display()),
            )
            .env("LEFT", root.join("left"))
            .output()
            .unwrap();
        let left = std::fs::read_to_string(root.join("left")).unwrap();
        self.steps = left.trim().parse().unwrap();
        self.disk = read_disk(&disk);
        if out.status.success() {
            return Ok(String::from_utf8(out.stdout).unwrap());
        }
        if self.steps == 0 {
            self.dead = true;
        }
        Err(StepError::failed(String::from_utf8_lossy(&out.stderr)))
    }
}

fn read_disk(disk: &Path) -> BTreeMap<PathBuf, Data> {
    fn walk(root: &Path, at: &Path, found: &mut BTreeMap<PathBuf, Data>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let own = |p: &Path| Path::new("/").join(p.strip_prefix(root).unwrap());
            if path.is_dir() {
                walk(root, &path, found);
            } else if path.extension().is_some_and(|e| e == "none") {
                let mark = Data {
                    from: "mark",
                    writes: Vec::new(),
                };
                found.insert(own(&path), mark);
            } else if path.file_name().is_some_and(|n| n == "data") {
                let text = std::fs::read_to_string(&path).unwrap();
                let (from, writes): (String, Vec<u32>) = serde_json::from_str(&text).unwrap();
                let known = ["before", "snapshot", "stranger"];
                let from = known.into_iter().find(|k| *k == from).unwrap();
                found.insert(own(at), Data { from, writes });
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(disk, disk, &mut found);
    found
}

/// Programs that count down before they begin, and take the shell with them at the end; a removal gets
/// halfway.
fn counting_programs(root: &Path) {
    let bin = root.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for program in ["mv", "rm", "mkdir", "sync"] {
        let path = bin.join(program);
        let script = format!(
            "#!/bin/sh\nread n <\"$LEFT\"\nif [ \"$n\" = 0 ]; then\n\
             if [ {program} = rm ]; then for p; do [ ! -d \"$p\" ] || {{ set -- \"$p\"/*/*; /bin/rm -rf -- \"$1\"; }}; done; fi\n\
             kill -9 $PPID; exit 1; fi\n\
             echo $((n - 1)) >\"$LEFT\"; exec /bin/{program} \"$@\"\n"
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
}

/// The same on a real file system with the scripts that a node runs: a restore that is killed at every
/// program it starts, then an undo that is, then another.
#[test]
fn kills_at_every_program_of_the_scripts_lose_nothing() {
    let acts = [
        [Act::Restore, Act::Undo],
        [Act::RestoreInVain, Act::Undo],
        [Act::RestoreFile, Act::Undo],
        [Act::Restore, Act::Restore],
        [Act::Restore, Act::Forget],
    ];
    let tried: Vec<u32> = std::thread::scope(|scope| {
        let running: Vec<_> = acts
            .into_iter()
            .map(|[first, second]| scope.spawn(move || kill_both(first, second)))
            .collect();
        running.into_iter().map(|r| r.join().unwrap()).collect()
    });
    eprintln!("{tried:?} kills");
    tried_faults(&format!(
        "{} kills, at every program that a script of a restore, an undo or a forget starts, two in a row, on a real file system",
        tried.iter().sum::<u32>()
    ));
    assert!(tried.iter().all(|n| *n > 15), "{tried:?}");
}

fn kill_both(first: Act, second: Act) -> u32 {
    let dir = tempfile::tempdir().unwrap();
    counting_programs(dir.path());
    let start = World {
        real: Some(dir.path().to_owned()),
        ..World::new()
    };
    let mut tried = 0;
    // Ended by itself or not: every so many steps one is the last of the next command, another one each time.
    let all = std::env::var_os("MATOU_TEST_ALL").is_some();
    let stride = if all { 8 } else { 20 };
    for steps in 0.. {
        let (mut once, _) = give(first, &start, steps);
        let path = vec![format!("{first:?} for {steps} steps")];
        check(&start, &once, &path);
        once.time_passes();
        let ended = !once.dead;
        for more in (steps % stride..).step_by(stride as usize) {
            let (mut twice, _) = give(second, &once, more);
            let path = [path.clone(), vec![format!("{second:?} for {more} steps")]].concat();
            check(&once, &twice, &path);
            tried += 1;
            let second_ended = !twice.dead;
            twice.time_passes();
            let (out, led) = give(Act::Undo, &twice, 10_000);
            check(&twice, &out, &path);
            assert!(
                led && !out.is_interrupted(),
                "no way out after {path:?}\n{out:#?}"
            );
            check_done(Act::Undo, &out, &path);
            if second_ended {
                break;
            }
        }
        if ended {
            break;
        }
    }
    tried
}

/// A row of the table of faults, as `support::fault` writes it for the tests on servers.
fn tried_faults(what: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tmp/faults");
    let row = format!(
        "| {what} | no data is lost that is not in the repository or was not let go; one undo leads out | unit test `explored` |\n"
    );
    let file = Path::new(folder).join(format!("explored-{}.md", what.len()));
    std::fs::create_dir_all(folder).expect("made");
    std::fs::write(file, row).expect("written");
}
