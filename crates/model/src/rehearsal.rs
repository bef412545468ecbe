//! What a rehearsed update came to.

use jiff::Timestamp;
use matou_base::text::{clean_line, format_ago, format_seconds};
use matou_i18n::tr;
use serde::{Deserialize, Serialize};

use super::Swarm;

/// The name of the part of a rehearsal in which the images are replaced.
pub const UPDATE_PART: &str = "update";

/// What `matou update --rehearse` found of an application. It is kept in a file beside the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsalReport {
    /// Whose update it was.
    pub app: String,
    /// When it ended.
    pub at: Timestamp,
    /// Full id of the snapshot whose data was updated.
    pub snapshot: String,
    /// When that was made.
    pub snapshot_at: Timestamp,
    /// Images that change.
    pub images: Vec<RehearsedImage>,
    /// What was done, in its order; the last one is what failed, when something did.
    pub parts: Vec<RehearsedPart>,
    /// Lines of the new containers' logs that tell of errors, and that the old ones had not. Of what
    /// failed, the last lines.
    #[serde(default)]
    pub log: Vec<String>,
    /// Why the update would fail; `None` when it would succeed.
    #[serde(default)]
    pub failure: Option<String>,
}

/// An image that an update changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsedImage {
    /// Without the application's name.
    pub service: String,
    /// As it runs.
    pub from: String,
    /// As it would run.
    pub to: String,
    /// `patch`, `minor` or `major`; absent where the tags do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// A part of a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsedPart {
    /// What was done.
    pub name: String,
    /// How long it took.
    pub seconds: u64,
    /// What was seen, where there is more to say than that it went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

impl RehearsalReport {
    /// Whether the update would succeed.
    pub fn is_success(&self) -> bool {
        self.failure.is_none()
    }

    /// Returns how long a part took in all, in seconds.
    pub fn total_seconds(&self) -> u64 {
        self.parts.iter().map(|p| p.seconds).sum()
    }

    /// Returns how long the update itself took, in seconds.
    pub fn update_seconds(&self) -> u64 {
        let part = self.parts.iter().find(|p| p.name == UPDATE_PART);
        part.map_or(0, |p| p.seconds)
    }

    /// Whether it rehearsed an update to just these images, by service.
    pub fn is_of<'a>(&self, images: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        is_pair_list(&self.images, images)
    }
}

fn image_pair(image: &RehearsedImage) -> (&str, &str) {
    (&image.service, &image.to)
}

/// What a night found out about the patch release of an application's images. It is kept in a file beside the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NightRehearsal {
    /// Whose update it was.
    pub app: String,
    /// When it ended.
    pub at: Timestamp,
    /// Images that would change.
    pub images: Vec<RehearsedImage>,
    /// What came of it; `None` when it could not be rehearsed.
    #[serde(default)]
    pub report: Option<RehearsalReport>,
    /// Why it could not be rehearsed.
    #[serde(default)]
    pub untried: Option<String>,
}

impl NightRehearsal {
    /// Why the update would fail.
    pub fn failure(&self) -> Option<&str> {
        self.report.as_ref()?.failure.as_deref()
    }

    /// Whether the update would succeed.
    pub fn is_success(&self) -> bool {
        self.report
            .as_ref()
            .is_some_and(RehearsalReport::is_success)
    }

    /// Whether the images run that it began with: else it says nothing of what an update would do now.
    pub fn is_current(&self, swarm: &Swarm) -> bool {
        let without_digest = |image: &str| image.split('@').next().map(str::to_owned);
        self.images.iter().all(|image| {
            let name = format!("{}_{}", self.app, image.service);
            let running = swarm.services.iter().find(|s| s.name == name);
            running.is_some_and(|s| without_digest(&s.image) == without_digest(&image.from))
        })
    }

    /// Whether it was of an update to just these images, by service.
    pub fn is_of<'a>(&self, images: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        is_pair_list(&self.images, images)
    }

    /// Tells in one sentence what the night found out.
    pub fn describe(&self, now: Timestamp) -> String {
        let ago = format_ago(now, self.at);
        let mut to: Vec<&str> = self.images.iter().map(|i| i.to.as_str()).collect();
        to.sort_unstable();
        to.dedup();
        let to = to.join(", ");
        let said = match (&self.report, self.failure()) {
            (Some(_), Some(why)) => tr!("an update to {to} would fail: {why} (rehearsed {ago})"),
            (Some(report), None) => {
                let took = format_took(report.update_seconds());
                tr!("an update to {to} would succeed in {took} (rehearsed {ago})")
            }
            (None, _) => {
                let why = self.untried.as_deref().unwrap_or("?");
                tr!("an update to {to} could not be rehearsed: {why} ({ago})")
            }
        };
        clean_line(&said).into_owned()
    }
}

/// Formats how long something of a rehearsal took.
pub fn format_took(seconds: u64) -> String {
    match i64::try_from(seconds) {
        Ok(few @ ..60) => format!("{few} s"),
        Ok(more) => format_seconds(more),
        Err(_) => format_seconds(i64::MAX),
    }
}

/// Whether images lead to just these, by service.
fn is_pair_list<'a>(
    images: &[RehearsedImage],
    wanted: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> bool {
    let mut wanted: Vec<(&str, &str)> = wanted.into_iter().collect();
    let mut had: Vec<(&str, &str)> = images.iter().map(image_pair).collect();
    wanted.sort_unstable();
    had.sort_unstable();
    wanted == had
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Service;

    fn night(failure: Option<&str>) -> NightRehearsal {
        let images = vec![RehearsedImage {
            service: "db".into(),
            from: "mariadb:11.4.12".into(),
            to: "mariadb:11.4.13".into(),
            step: Some("patch".into()),
        }];
        let at = Timestamp::from_second(1_000_000).unwrap();
        NightRehearsal {
            app: "shop".into(),
            at,
            images: images.clone(),
            report: Some(RehearsalReport {
                app: "shop".into(),
                at,
                snapshot: String::new(),
                snapshot_at: at,
                images,
                parts: vec![RehearsedPart {
                    name: UPDATE_PART.into(),
                    seconds: 130,
                    seen: None,
                }],
                log: Vec::new(),
                failure: failure.map(str::to_owned),
            }),
            untried: None,
        }
    }

    #[test]
    fn a_night_says_whether_the_update_would_succeed() {
        let now = Timestamp::from_second(1_000_000 + 5 * 3600).unwrap();
        let said = night(None).describe(now);
        assert_eq!(
            said,
            "an update to mariadb:11.4.13 would succeed in 2 min (rehearsed 5 h ago)"
        );
        let failed = night(Some("no \u{1b}[1mdisk"));
        assert!(!failed.is_success());
        let said = failed.describe(now);
        assert!(
            said.contains("would fail: no ") && !said.contains('\u{1b}'),
            "{said}"
        );
        let untried = NightRehearsal {
            report: None,
            untried: Some("there is no snapshot".into()),
            ..night(None)
        };
        assert!(!untried.is_success() && untried.failure().is_none());
        let said = untried.describe(now);
        assert!(
            said.contains("could not be rehearsed: there is no snapshot"),
            "{said}"
        );
    }

    #[test]
    fn what_was_rehearsed_is_old_when_other_images_run() {
        let swarm = |name: &str, image: &str| Swarm {
            services: vec![Service {
                id: "s1".into(),
                name: name.into(),
                image: image.into(),
                wanted: 1,
                running: 1,
                ..Service::default()
            }],
            ..Swarm::default()
        };
        assert_eq!(format_took(14), "14 s");
        let night = night(None);
        assert!(night.is_current(&swarm("shop_db", "mariadb:11.4.12")));
        assert!(!night.is_current(&swarm("shop_db", "mariadb:11.4.13")));
        assert!(!night.is_current(&swarm("blog_db", "mariadb:11.4.12")));
        assert!(night.is_of([("db", "mariadb:11.4.13")]));
        assert!(!night.is_of([("db", "mariadb:11.4.14")]));
    }
}
