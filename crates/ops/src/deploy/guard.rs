//! The password before an application whose installer is open to whoever comes first.

use async_trait::async_trait;
use matou_i18n::tr;
use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::secrets::SecretStore;
use crate::{FleetContext, OpsError};
use matou_docker::NodeHandle;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::{AppFile, GUARD_SECRET, GUARD_USER};

/// The version under which the password is kept: it is never rotated, but taken away.
const VERSION: u32 = 1;

/// bcrypt's cost: the password is random, so that guessing is hopeless at any.
const BCRYPT_COST: u32 = 6;

/// Characters of the password.
const LENGTH: usize = 24;

/// Puts a password before a new application. Returns the step that keeps it, which comes before
/// anything is deployed; `None` for one that runs without a password, and only has no file.
///
/// # Errors
/// The manager or the storage node can't be asked, or what is kept there can't be read.
pub(super) async fn guard_app(
    app: &str,
    file: &mut AppFile,
    manager: &NodeHandle,
    fleet: &FleetContext,
) -> Result<Option<KeepGuardPassword>, OpsError> {
    let store = SecretStore::open(fleet, app)?;
    // A deploy that did not come to its end has made one already.
    let kept = store.newest_versions().await?;
    let swarm = manager.docker.query_swarm().await?;
    let runs = swarm
        .services
        .iter()
        .any(|s| s.stack.as_deref() == Some(app));
    if runs && !kept.contains_key(GUARD_SECRET) {
        return Ok(None);
    }
    let password = match kept.get(GUARD_SECRET) {
        Some(version) => store.read_value(GUARD_SECRET, *version).await?,
        None => generate_password(),
    };
    let hash = bcrypt::hash(password.expose_secret(), BCRYPT_COST).map_err(OpsError::failed)?;
    file.edge.basic_auth = Some(vec![format!("{GUARD_USER}:{hash}")]);
    Ok(Some(KeepGuardPassword { store, password }))
}

fn generate_password() -> SecretString {
    let mut random = rand::rng();
    let letters = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let letter = |_| char::from(letters[random.random_range(0..letters.len())]);
    (0..LENGTH).map(letter).collect::<String>().into()
}

/// Keeps the password where the application's secrets are.
pub(super) struct KeepGuardPassword {
    store: SecretStore,
    password: SecretString,
}

#[async_trait]
impl Step for KeepGuardPassword {
    fn name(&self) -> String {
        tr!("password before the installer").into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let kept = self.store.newest_versions().await?;
        let line = tr!("the edge asks for a password (user {GUARD_USER})");
        Ok(match kept.contains_key(GUARD_SECRET) {
            true => Check::Done(vec![Change::same(line)]),
            false => Check::Change(vec![Change::add(line).with_warning(
                tr!("its installer is open to whoever comes first: until you have installed it, strangers stay out"),
            )]),
        })
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        let kept = self.store.keep_value(GUARD_SECRET, VERSION, &self.password);
        match kept.await?.expose_secret() == self.password.expose_secret() {
            true => Ok(()),
            false => Err(StepError::failed(tr!(
                "another deploy of it has just made another password: deploy it again"
            ))),
        }
    }
}
