//! Secrets that must not be shown: wherever text is, they are taken out of it.

use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

/// Shown instead of a secret.
const REMOVED: &str = "•••";

/// Removes known secrets from text. Cheap to clone; clones share the secrets.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Mutex<Vec<SecretString>>>);

impl Redactor {
    /// From now on `secret` is removed. Very short ones are not: they would blank ordinary words.
    pub fn add_secret(&self, secret: SecretString) {
        let text = secret.expose_secret();
        let mut secrets = self.lock_secrets();
        // Output is cut into lines before it is redacted.
        if text.contains('\n') {
            let lines = text.lines().map(str::trim).filter(|l| l.len() >= 8);
            secrets.extend(lines.map(SecretString::from));
        }
        if text.len() >= 4 {
            secrets.push(secret);
        }
        // One secret may be a part of another.
        secrets.sort_by_key(|s| std::cmp::Reverse(s.expose_secret().len()));
    }

    /// The text without any known secret.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.lock_secrets().iter() {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), REMOVED);
            }
        }
        text
    }

    fn lock_secrets(&self) -> std::sync::MutexGuard<'_, Vec<SecretString>> {
        // A panic while the list was held can't have broken it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
