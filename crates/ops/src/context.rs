//! What every operation needs: nodes, catalogue, journal.

use matou_i18n::tr;
use std::sync::Arc;

use color_eyre::eyre::Result;

use crate::OpsError;
use matou_collect::{AnswerChecks, NameCache, ProbeSettings};
use matou_config::{Config, ensure_runtime_dir, ensure_state_dir, state_path};
use matou_docker::{NodeHandle, Nodes};
use matou_edge::EdgeEndpoints;
use matou_history::FleetFolder;
use matou_host::HostOptions;
use matou_job::{Journal, Runner};
use matou_model::Swarm;
use matou_stack::{AppFile, Catalogue, CatalogueEntry, Category};

/// An opened fleet. Cheap to clone; nothing is connected before it is used.
#[derive(Clone)]
pub struct FleetContext {
    /// What config.toml says.
    pub config: Arc<Config>,
    /// Its nodes, each with its engine.
    pub nodes: Nodes,
    /// The stacks that can be deployed.
    pub catalogue: Arc<Catalogue>,
    /// What jobs did.
    pub journal: Journal,
    /// Runs jobs.
    pub runner: Runner,
}

impl FleetContext {
    /// Opens the fleet of `config`: makes the state folder and the private folder for sockets. Goes
    /// on without a state folder; [`Journal::write_trouble`] then says why nothing is remembered.
    ///
    /// # Errors
    /// When there is no folder for sockets, or a stack file of the fleet folder is wrong.
    pub fn open(config: Config) -> Result<Self> {
        let runtime = ensure_runtime_dir()?;
        let state = match ensure_state_dir() {
            Ok(state) => state,
            Err(e) => {
                tracing::warn!("{e:#}");
                state_path()?
            }
        };
        let journal = Journal::open_lazily(&state.join("journal.jsonl"));
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

    /// Returns the same fleet with other stacks.
    pub(crate) fn with_catalogue(&self, catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            ..self.clone()
        }
    }

    /// Returns the same fleet for a part of a job that shows the application's page already.
    pub(crate) fn without_automatic_pages(&self) -> Self {
        let mut config = Config::clone(&self.config);
        config.page.automatic = false;
        Self {
            config: Arc::new(config),
            ..self.clone()
        }
    }

    /// Returns the folder of config.toml, apps/ and stacks/; `None` without config.toml.
    pub fn folder(&self) -> Option<FleetFolder> {
        FleetFolder::of_config(&self.config)
    }

    /// Lists the stacks that are offered, by name: those for practice on practice fleets alone.
    pub fn list_offered_stacks(&self) -> Vec<CatalogueEntry> {
        let mut entries = self.catalogue.list_entries();
        if !self.config.is_practice_fleet() {
            entries.retain(|e| e.category != Category::Practice);
        }
        entries
    }

    /// Returns what each application must answer: the check of its stack, else 200 at `/`.
    pub fn answer_checks(&self) -> AnswerChecks {
        let (folder, catalogue) = (self.config.folder(), self.catalogue.clone());
        Arc::new(move |app| {
            let file = folder.as_ref().and_then(|f| AppFile::load(f, app).ok()?);
            let check = file.and_then(|f| catalogue.find_extension(&f.stack).ok()?.check);
            check.unwrap_or_default().expected_answer()
        })
    }

    /// Returns how the fleet is probed from outside: its edge, the expected answers, the interval.
    ///
    /// # Errors
    /// When the authority's file of `[edge]` can't be read.
    pub fn probe_settings(&self) -> Result<ProbeSettings, OpsError> {
        Ok(ProbeSettings {
            edge: EdgeEndpoints::load(&self.config, &self.nodes)?,
            checks: self.answer_checks(),
            every: self.config.alerts.interval,
        })
    }

    /// Reads the whole swarm from a manager.
    pub(crate) async fn query_swarm(&self) -> Result<Swarm, OpsError> {
        let manager = self.nodes.find_manager().await?;
        let swarm = manager.docker.query_swarm().await?;
        NameCache::of_config(&self.config).keep_swarm(&swarm);
        Ok(swarm)
    }

    /// Returns the node that holds the applications' data, and the locks.
    ///
    /// # Errors
    /// config.toml has no node of that name.
    pub(crate) fn find_storage_node(&self) -> Result<&NodeHandle, OpsError> {
        let name = &self.config.storage.node;
        self.nodes.get(name).ok_or_else(|| {
            OpsError::failed(tr!(
                "[storage] node = {name:?} is not among the nodes of config.toml"
            ))
        })
    }
}
