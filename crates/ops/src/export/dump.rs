//! A database dump as it lies in an archive.

use matou_i18n::tr;
use std::path::PathBuf;

use matou_backup::ManifestDump;
use matou_stack::{Dump, DumpEngine};

/// A dump, as it lies in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExportDump {
    pub spec: Dump,
    /// Path in the archive.
    pub archive_path: String,
    /// On the storage node, or in the snapshot.
    pub source_path: PathBuf,
    pub size: u64,
}

impl ExportDump {
    pub(super) fn new(spec: &Dump, made: &ManifestDump, nth: usize) -> Self {
        let end = match spec.loading_engine() {
            None => "dump",
            Some(DumpEngine::Mongodb) => "archive",
            Some(DumpEngine::Sqlite) => "sqlite",
            Some(_) => "sql",
        };
        Self {
            spec: spec.clone(),
            archive_path: format!("dumps/{nth}-{}.{end}", spec.service),
            source_path: made.path.clone(),
            size: made.size,
        }
    }

    /// Returns the database engine whose server loads the dump; `None` where no server does.
    pub(super) fn server_engine(&self) -> Option<DumpEngine> {
        let engine = self.spec.loading_engine();
        engine.filter(|e| *e != DumpEngine::Sqlite)
    }

    /// Whether `load.sh` loads the dump.
    pub(super) fn is_loaded_by_script(&self) -> bool {
        self.server_engine().is_some() || self.spec.restore.is_some()
    }

    pub(super) fn describe_dump(&self) -> String {
        let what = match &self.spec.database {
            Some(database) => tr!("the database {database} of `{}`", self.spec.service),
            None => tr!("the data of `{}`", self.spec.service),
        };
        match self.spec.loading_engine() {
            Some(DumpEngine::Postgresql) => tr!("{what}, plain SQL for PostgreSQL's `psql`"),
            Some(DumpEngine::Mariadb | DumpEngine::Mysql) => {
                tr!("{what}, plain SQL for `mariadb` or `mysql`")
            }
            Some(DumpEngine::Mongodb) => tr!("{what}, for `mongorestore --archive`"),
            Some(DumpEngine::Sqlite) => {
                tr!("{what}; it lies in its volume already, in the place of the live file")
            }
            None => match &self.spec.restore {
                Some(_) => tr!("{what}; `load.sh` knows the line that loads it"),
                None => tr!("{what}, by a line of the stack's own"),
            },
        }
    }
}
