//! What every operation needs: nodes, catalogue, journal.

use std::sync::Arc;

use color_eyre::eyre::Result;

use crate::collect::{Checks, Outside, Wanted};
use crate::config::{Config, runtime_dir, state_dir, state_path};
use crate::docker::Nodes;
use crate::edge::Edge;
use crate::host::HostOptions;
use crate::job::{Journal, Runner};
use crate::stack::{AppFile, Catalogue};

/// An opened fleet. Cheap to clone; nothing is connected before it is used.
#[derive(Clone)]
pub struct Context {
    pub config: Arc<Config>,
    pub nodes: Nodes,
    pub catalogue: Arc<Catalogue>,
    pub journal: Journal,
    pub runner: Runner,
}

impl Context {
    /// Opens the fleet of `config`: makes the state folder and the private folder for sockets. Without
    /// a state folder it goes on: what is not remembered then is told by [`Journal::trouble`].
    ///
    /// # Errors
    /// When there is no folder for sockets, or a stack file of the fleet folder is wrong.
    pub fn open(config: Config) -> Result<Self> {
        let runtime = runtime_dir()?;
        let state = match state_dir() {
            Ok(state) => state,
            Err(e) => {
                tracing::warn!("{e:#}");
                state_path()?
            }
        };
        let journal = Journal::at(&state.join("journal.jsonl"));
        let nodes = Nodes::new(&config.nodes, |node| HostOptions {
            docker_socket: node.docker_socket.clone(),
            runtime_dir: runtime.clone(),
            recorder: Some(Arc::new(journal.clone())),
        });
        let catalogue = Catalogue::load(config.folder().as_deref())?;
        Ok(Self {
            config: Arc::new(config),
            nodes,
            catalogue: Arc::new(catalogue),
            runner: Runner::new(journal.clone()),
            journal,
        })
    }

    /// What each application must answer: the check of the stack it is made from, else 200 at `/`.
    pub fn checks(&self) -> Checks {
        let (folder, catalogue) = (self.config.folder(), self.catalogue.clone());
        Arc::new(move |app| {
            let file = folder.as_ref().and_then(|f| AppFile::load(f, app).ok()?);
            let check = file.and_then(|f| catalogue.extension(&f.stack).ok()?.check);
            let check = check.unwrap_or_default();
            Wanted {
                path: check.path,
                status: check.status,
            }
        })
    }

    /// What the fleet is asked from outside.
    ///
    /// # Errors
    /// When the authority's file of `[edge]` can't be read.
    pub fn outside(&self) -> Result<Outside, String> {
        Ok(Outside {
            edge: Edge::of(&self.config, &self.nodes)?,
            checks: self.checks(),
            every: self.config.alerts.interval,
        })
    }
}
