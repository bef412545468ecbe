//! Newer patch releases rehearsed after the night's backup, one application after the other. Nothing is updated:
//! what came of it is kept and told.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::report::{read_night, write_night};
use super::{build_rehearsal_job, list_image_changes};
use crate::filed_app::FiledApp;
use crate::holds::hold_touched_apps;
use crate::versions::{OutdatedService, query_fleet_versions};
use crate::{FleetContext, OpsError, Request};
use matou_base::text::{clean_lines, format_seconds};
use matou_collect::read_night_rehearsals;
use matou_job::{Job, JobEvent, JobOutcome};
use matou_model::{NightRehearsal, RehearsedImage};
use matou_registry::VersionStep;
use matou_stack::AppName;

/// An update that would succeed is not rehearsed again before so long.
const REPEATED_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24 - 12);

/// How long after the first one has begun a night begins another one. Those that are left come first the next night.
const NIGHT: Duration = Duration::from_secs(4 * 3600);

/// New images, by service.
type NewImages = BTreeMap<String, String>;

/// Rehearses the newest patch release of the images of each application, as many as the night has time for, and keeps
/// what came of it. Returns what was found out now, and how many applications are left for the next night. `events`
/// tell of the jobs.
///
/// # Errors
/// One sentence: no manager or not the storage node answers.
pub async fn run_nightly_rehearsals(
    fleet: &FleetContext,
    events: mpsc::Sender<JobEvent>,
    cancel: CancellationToken,
) -> Result<(Vec<NightRehearsal>, usize), OpsError> {
    let outdated = query_fleet_versions(fleet).await?;
    let storage = fleet.find_storage_node()?;
    let earlier = read_night_rehearsals(&fleet.config, &storage.host).await?;
    let mut found = Vec::new();
    let begun = Instant::now();
    let mut all = put_in_turn(list_patch_releases(&outdated), &earlier);
    let now = Timestamp::now();
    all.retain(|(app, images)| !is_known(&earlier, app, images, now));
    let mut left = all.len();
    for (app, images) in all {
        if begun.elapsed() >= NIGHT {
            break;
        }
        let night = NightApp { app, images, fleet };
        match night.rehearse(&events, &cancel).await? {
            Some(rehearsal) => found.push(rehearsal),
            None => break,
        }
        left -= 1;
    }
    Ok((found, left))
}

/// Lists the images with the newest patch release of each, by application and service.
fn list_patch_releases(outdated: &[OutdatedService]) -> BTreeMap<AppName, NewImages> {
    let mut all: BTreeMap<AppName, NewImages> = BTreeMap::new();
    for service in outdated {
        let Ok(newer) = &service.versions.newer else {
            continue;
        };
        // They come newest first.
        let patch = newer.iter().find(|v| v.step == VersionStep::Patch);
        let image = patch.and_then(|v| service.versions.image_with_tag(&v.tag));
        if let (Some(image), Ok(app)) = (image, AppName::new(service.app.as_str())) {
            let images = all.entry(app).or_default();
            images.insert(service.versions.service.clone(), image);
        }
    }
    all
}

/// Puts those first that no night has rehearsed, then those whose last rehearsal is oldest.
fn put_in_turn(
    all: BTreeMap<AppName, NewImages>,
    earlier: &[NightRehearsal],
) -> Vec<(AppName, NewImages)> {
    let mut all: Vec<(AppName, NewImages)> = all.into_iter().collect();
    all.sort_by_key(|(app, _)| {
        let of_app = earlier.iter().filter(|night| night.app == app.as_str());
        of_app.map(|night| night.at).max()
    });
    all
}

/// Whether an earlier night found out that just this update would succeed, not long ago.
fn is_known(earlier: &[NightRehearsal], app: &str, images: &NewImages, now: Timestamp) -> bool {
    let mut earlier = earlier.iter().filter(|night| night.app == app);
    earlier.any(|night| {
        night.is_success()
            && night.is_of(images.iter().map(|(s, i)| (s.as_str(), i.as_str())))
            && now.duration_since(night.at) < REPEATED_AFTER
    })
}

/// One application of a night.
struct NightApp<'a> {
    app: AppName,
    images: NewImages,
    fleet: &'a FleetContext,
}

impl NightApp<'_> {
    /// Rehearses it within the time that it may take. `None` when the night was cancelled.
    async fn rehearse(
        &self,
        events: &mpsc::Sender<JobEvent>,
        cancel: &CancellationToken,
    ) -> Result<Option<NightRehearsal>, OpsError> {
        let begun = Timestamp::now();
        let failed = match self.build().await {
            Ok(job) => self.run(&job, events, cancel).await,
            Err(why) => Some(why.to_string()),
        };
        if cancel.is_cancelled() {
            return Ok(None);
        }
        if let Some(night) = read_night(self.fleet, &self.app).await
            && night.at >= begun
        {
            return Ok(Some(night));
        }
        let why = failed.unwrap_or_else(|| tr!("its report is not there").to_owned());
        let night = NightRehearsal {
            app: self.app.to_string(),
            at: Timestamp::now(),
            images: self.list_images(),
            report: None,
            untried: Some(clean_lines(&why)),
        };
        write_night(self.fleet, &night)
            .await
            .map_err(OpsError::failed)?;
        Ok(Some(night))
    }

    async fn build(&self) -> Result<Job, OpsError> {
        let request = Request::Rehearse {
            app: self.app.clone(),
            images: self.images.clone(),
        };
        let mut job = build_rehearsal_job(&self.app, &self.images, true, self.fleet).await?;
        hold_touched_apps(&mut job, &request, self.fleet).await?;
        Ok(job)
    }

    /// Returns why it did not end well.
    async fn run(
        &self,
        job: &Job,
        events: &mpsc::Sender<JobEvent>,
        cancel: &CancellationToken,
    ) -> Option<String> {
        let stop = cancel.child_token();
        let limit = self.fleet.config.updates.limit;
        let runner = &self.fleet.runner;
        let running = runner.run(job, None, events.clone(), stop.clone());
        tokio::pin!(running);
        let outcome = tokio::select! {
            outcome = &mut running => outcome,
            () = tokio::time::sleep(limit) => {
                stop.cancel();
                // Its copy is removed.
                running.await
            }
        };
        match outcome {
            Ok(JobOutcome::Done { .. }) => None,
            Ok(JobOutcome::Failed { reason }) => Some(reason.to_string()),
            Ok(JobOutcome::Cancelled) => {
                let limit = format_seconds(i64::try_from(limit.as_secs()).unwrap_or(i64::MAX));
                Some(tr!("it took longer than {limit}"))
            }
            Err(e) => Some(e.to_string()),
        }
    }

    /// The images that would change, as far as the application's file can be read.
    fn list_images(&self) -> Vec<RehearsedImage> {
        let filed = FiledApp::load(self.fleet, &self.app);
        let changes = filed.and_then(|filed| list_image_changes(&filed, &self.images));
        changes.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServiceVersions;
    use matou_base::text::SafeText;
    use matou_registry::NewerVersion;

    #[test]
    fn who_waits_longest_comes_first() {
        let night = |app: &str, hour: i64| NightRehearsal {
            app: app.into(),
            at: Timestamp::from_second(hour * 3600).unwrap(),
            images: Vec::new(),
            report: None,
            untried: None,
        };
        let earlier = [night("a", 30), night("b", 10), night("b", 20)];
        let all = ["a", "b", "c", "d"].map(|app| (AppName::new(app).unwrap(), NewImages::new()));
        let turn = put_in_turn(all.into(), &earlier);
        let turn: Vec<&str> = turn.iter().map(|(app, _)| app.as_str()).collect();
        assert_eq!(turn, ["c", "d", "b", "a"]);
    }

    #[test]
    fn only_patch_releases_are_rehearsed_and_the_newest_of_them() {
        let service =
            |app: &str, name: &str, image: &str, newer: Option<&[(&str, VersionStep)]>| {
                let newer = newer.map(|all| {
                    let all = all.iter().map(|(tag, step)| NewerVersion {
                        tag: (*tag).to_owned(),
                        step: *step,
                    });
                    all.collect()
                });
                OutdatedService {
                    app: app.into(),
                    versions: ServiceVersions {
                        service: name.into(),
                        image: image.into(),
                        newer: newer.ok_or_else(|| SafeText::from("no answer")),
                    },
                    line: None,
                    rehearsal: None,
                }
            };
        let (patch, major) = (VersionStep::Patch, VersionStep::Major);
        let all = [
            service(
                "shop",
                "web",
                "web:1.0.0",
                Some(&[("2.0.0", major), ("1.0.9", patch)]),
            ),
            service("shop", "db", "mariadb:11.4.2", Some(&[("11.4.5", patch)])),
            service("blog", "web", "blog:6.0.1", Some(&[("7.0.0", major)])),
            service("wiki", "web", "wiki:1.0.1", None),
            service("../etc", "web", "wiki:1.0.1", Some(&[("1.0.2", patch)])),
        ];
        let found = list_patch_releases(&all);
        assert_eq!(found.len(), 1, "{found:?}");
        let images = found.values().next().unwrap();
        let images: Vec<_> = images
            .iter()
            .map(|(s, i)| (s.as_str(), i.as_str()))
            .collect();
        assert_eq!(images, [("db", "mariadb:11.4.5"), ("web", "web:1.0.9")]);
    }
}
