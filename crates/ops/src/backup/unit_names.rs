//! Names of the systemd units of backups.

/// What the units of applications' backups begin with; the application's name follows.
pub const APP_UNIT_PREFIX: &str = "matou-backup-app-";

/// The unit of the backup of the fleet's own files.
pub(super) const FLEET_UNIT: &str = "matou-backup-fleet";
