//! Images that no service names, and that are needed all the same: by files of applications that can be
//! deployed again, and by restores that can be undone.

use matou_i18n::tr;
use std::time::Duration;

use matou_backup::{Manifest, matou_folder};
use matou_collect::ImageUser;
use matou_host::{Command, shell_script};
use matou_stack::{AppFile, AppName, RenderTarget};

use crate::FleetContext;
use crate::backup::is_manager_copy;

/// Prints the manifests of applications of which a restore is kept, `$1` is matou's folder.
const PRINT_MANIFESTS: &str =
    shell_script(include_str!("../../scripts/print_restored_manifests.sh"));

/// Images that are needed beside those of services, and what could not be looked at.
#[derive(Debug, Default)]
pub(super) struct NeededImages {
    pub images: Vec<(String, ImageUser)>,
    /// A sentence each.
    pub troubles: Vec<String>,
}

impl NeededImages {
    /// Reads the files in apps/ and what is kept of restores.
    pub(super) async fn load(fleet: &FleetContext) -> Self {
        let mut needed = Self::default();
        needed.add_app_files(fleet);
        needed.add_restores(fleet).await;
        needed
    }

    fn add_app_files(&mut self, fleet: &FleetContext) {
        let Some(folder) = fleet.config.folder() else {
            return;
        };
        // What was never brought is not known, and no proof that there is nothing.
        if is_manager_copy(&fleet.config) && !folder.join("apps").is_dir() {
            self.troubles.push(tr!("which applications have a file is not known on a manager: the next deploy of one, or `matou backup --all`, brings apps/ to the storage node").into());
            return;
        }
        let apps = AppFile::read_names(&folder).unwrap_or_else(|why| {
            self.troubles
                .push(tr!("which applications have a file is not known: {why}"));
            Vec::new()
        });
        for app in apps {
            let rendered = AppFile::load(&folder, &app).map(|file| {
                let file = file.unwrap_or_default();
                let target = RenderTarget::for_app(&fleet.config, &file);
                let variables = &file.variables;
                let catalogue = &fleet.catalogue;
                catalogue.render_stack(&file.stack, &app, variables, &target)
            });
            match rendered {
                Ok(Ok(rendered)) => self.images.extend(rendered.services.into_iter().map(|s| {
                    let user = ImageUser::AppFile(app.to_string());
                    (s.image, user)
                })),
                Ok(Err(why)) | Err(why) => self.troubles.push(tr!(
                    "which images {} names is not known: {why}",
                    AppFile::name(&app)
                )),
            }
        }
    }

    async fn add_restores(&mut self, fleet: &FleetContext) {
        // Without a storage node nothing was ever restored.
        let Ok(storage) = fleet.find_storage_node() else {
            return;
        };
        let print = Command::sh(PRINT_MANIFESTS)
            .arg(matou_folder(&fleet.config).display().to_string())
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(tr!("what restores keep"));
        match storage.host.run_ok(&print).await {
            Ok(out) => self.add_manifests(&out.stdout_text()),
            Err(why) => self.troubles.push(tr!(
                "which images undoing a restore would need is not known: {why}"
            )),
        }
    }

    fn add_manifests(&mut self, printed: &str) {
        for (app, manifest) in printed.lines().filter_map(|line| line.split_once(' ')) {
            let Ok(app) = AppName::new(app) else {
                continue;
            };
            let manifest = match manifest {
                "" => Err(tr!("the manifest of its backup is not there").to_owned()),
                text => serde_json::from_str::<Manifest>(text).map_err(|e| e.to_string()),
            };
            match manifest {
                Ok(manifest) => {
                    self.images
                        .extend(manifest.images.into_iter().map(|(_, image)| {
                            let user = ImageUser::Restore(app.to_string());
                            (image, user)
                        }));
                }
                Err(why) => self.troubles.push(tr!(
                    "which images undoing the restore of {app} would need is not known: {why}"
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restore_keeps_names_images_and_a_broken_manifest_is_told() {
        let mut needed = NeededImages::default();
        let manifest = r#"{"app":"blog","fleet":"f","time":"2026-11-24T10:00:00Z","volumes":[],"images":[["blog_web","ghost:5@sha256:55"]]}"#;
        needed.add_manifests(&format!(
            "blog {manifest}\nshop {{\n../x {manifest}\nold_Shop \n"
        ));
        let user = ImageUser::Restore("blog".into());
        assert_eq!(needed.images, [("ghost:5@sha256:55".to_owned(), user)]);
        assert_eq!(needed.troubles.len(), 2);
        assert!(needed.troubles[1].contains("restore of old_Shop"));
        assert!(needed.troubles[0].contains("restore of shop"));
    }
}
