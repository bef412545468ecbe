//! Names that were read of the fleet, kept for the completions of shells: those wait for no server.
//!
//! One file a configuration, in the cache folder, of mode 0600. Names come from servers, and end on a command
//! line: what a shell would take for more than a word is not kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use matou_base::files;
use matou_base::text::sha256_hex;
use matou_config::Config;
use matou_model::Swarm;

/// Names of a kind that are kept.
const MAX_NAMES: usize = 2000;

/// Characters of a name: a domain has 253 at most.
const LONGEST_NAME: usize = 255;

/// Bytes of a file that are read.
const MAX_BYTES: u64 = 1 << 20;

/// What is known by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownNames {
    /// Stacks that run, and services that belong to none.
    pub apps: BTreeSet<String>,
    /// Services, with the stack's name before theirs.
    pub services: BTreeSet<String>,
    /// Domains that the edge leads to services.
    pub domains: BTreeSet<String>,
    /// Volumes that services mount.
    pub volumes: BTreeSet<String>,
    /// Snapshots of the first repository, the newest first.
    pub snapshots: Vec<KnownSnapshot>,
}

/// A snapshot, as it is told from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSnapshot {
    /// The first eight digits of its id.
    pub id: String,
    /// The application it is of.
    pub app: String,
    /// When it was made, to the minute, in UTC.
    pub at: String,
}

/// Whether a name can stand on a command line as it is, in every shell. No `~` and `=` first, which some
/// shells expand, and no dash, which begins an option.
pub fn is_plain_word(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/'))
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./:@+,=".contains(&b))
}

/// Where the names of one fleet are kept. Nothing of it fails: what can't be kept is not completed.
#[derive(Debug, Clone)]
pub struct NameCache {
    /// `None` without a home folder.
    path: Option<PathBuf>,
}

impl NameCache {
    /// Names the file of the fleet of a configuration.
    pub fn of_config(config: &Config) -> Self {
        Self::of_file(config.path.as_deref())
    }

    /// Names the file of the fleet of that config.toml; `None` is this machine alone.
    pub fn of_file(config: Option<&Path>) -> Self {
        let of = config.map_or_else(
            || "this machine".to_owned(),
            |path| {
                let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
                path.to_string_lossy().into_owned()
            },
        );
        let folder = matou_config::cache_path().ok();
        let name = format!("{}.json", &sha256_hex(of)[..16]);
        Self {
            path: folder.map(|folder| folder.join("names").join(name)),
        }
    }

    /// Returns what is kept; nothing where it can't be read.
    pub fn load(&self) -> KnownNames {
        let path = self.path.as_ref();
        path.and_then(|path| files::read_text(path, MAX_BYTES).ok())
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// Keeps the names of what the swarm runs, in the place of those before.
    pub fn keep_swarm(&self, swarm: &Swarm) {
        let services = || swarm.services.iter();
        let apps = services().map(|s| s.stack.as_ref().unwrap_or(&s.name));
        let (apps, names) = (keep_plain(apps), keep_plain(services().map(|s| &s.name)));
        let domains = keep_plain(services().flat_map(|s| &s.domains));
        let volumes = keep_plain(services().flat_map(|s| &s.volumes));
        self.change(|known| {
            known.apps = apps;
            known.services = names;
            known.domains = domains;
            known.volumes = volumes;
        });
    }

    /// Keeps the snapshots of the first repository, in the place of those before. `snapshots` are id,
    /// application and time, in any order.
    pub fn keep_snapshots<'a>(
        &self,
        snapshots: impl IntoIterator<Item = (&'a str, &'a str, jiff::Timestamp)>,
    ) {
        let mut all: Vec<_> = snapshots.into_iter().collect();
        all.sort_by_key(|(_, _, at)| std::cmp::Reverse(*at));
        let kept = all.into_iter().filter_map(|(id, app, at)| {
            let id = id.get(..8)?;
            let plain = id.bytes().all(|b| b.is_ascii_hexdigit()) && is_plain_word(app);
            plain.then(|| KnownSnapshot {
                id: id.to_owned(),
                app: app.to_owned(),
                at: at.strftime("%F %R UTC").to_string(),
            })
        });
        let kept: Vec<_> = kept.take(MAX_NAMES).collect();
        self.change(|known| known.snapshots = kept);
    }

    /// Writes what `change` makes of what is kept, unless it is the same.
    fn change(&self, change: impl FnOnce(&mut KnownNames)) {
        let Some(path) = &self.path else { return };
        let before = self.load();
        let mut known = before.clone();
        change(&mut known);
        if known == before {
            return;
        }
        let written = serde_json::to_vec(&known)
            .map_err(std::io::Error::from)
            .and_then(|text| files::write_atomically(path, &text, files::PRIVATE_MODE));
        if let Err(e) = written {
            tracing::debug!("names are not kept for completions: {e}");
        }
    }
}

fn keep_plain<'a>(names: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let plain = names.filter(|name| is_plain_word(name));
    plain.take(MAX_NAMES).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_base::payloads::PAYLOADS;
    use matou_model::Service;

    fn cache_in(folder: &Path) -> NameCache {
        NameCache {
            path: Some(folder.join("names/fleet.json")),
        }
    }

    fn service(name: &str) -> Service {
        Service {
            name: name.into(),
            stack: Some("blog".into()),
            wanted: 1,
            running: 1,
            ..Service::default()
        }
    }

    #[test]
    fn names_are_kept_in_a_private_file_and_only_words() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let cache = cache_in(dir.path());
        assert_eq!(cache.load(), KnownNames::default());
        let odd = [
            "a b", "$(id)", "`id`", "a;b", "a*", "-n", "~root", "a'b", "a\\b", "é", "",
        ];
        let mut services: Vec<Service> = odd.iter().chain(PAYLOADS).map(|n| service(n)).collect();
        services.push(service("blog_web"));
        let swarm = Swarm {
            services,
            ..Swarm::default()
        };
        cache.keep_swarm(&swarm);
        let time = |second| jiff::Timestamp::from_second(second).unwrap();
        cache.keep_snapshots([
            ("0123456789", "blog", time(0)),
            ("abcdef01", "shop", time(60)),
            ("short", "blog", time(0)),
            ("01234567", "$(id)", time(0)),
        ]);
        let known = cache.load();
        assert_eq!(Vec::from_iter(&known.apps), ["blog"]);
        assert_eq!(Vec::from_iter(&known.services), ["blog_web"]);
        let ids: Vec<_> = known.snapshots.iter().map(|s| &*s.id).collect();
        assert_eq!(ids, ["abcdef01", "01234567"]);
        assert_eq!(known.snapshots[0].at, "1970-01-01 00:01 UTC");
        let file = dir.path().join("names/fleet.json");
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // The same again is not written again.
        let written = file.metadata().unwrap().modified().unwrap();
        cache.keep_swarm(&swarm);
        assert_eq!(file.metadata().unwrap().modified().unwrap(), written);
    }

    #[test]
    fn a_file_that_is_none_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache_in(dir.path());
        std::fs::create_dir(dir.path().join("names")).unwrap();
        std::fs::write(dir.path().join("names/fleet.json"), "{\"apps\": 7").unwrap();
        assert_eq!(cache.load(), KnownNames::default());
        cache.keep_swarm(&Swarm {
            services: vec![service("blog_web")],
            ..Swarm::default()
        });
        assert_eq!(cache.load().services.len(), 1);
    }
}
