//! What comes of a stack file that was rendered.

use matou_i18n::tr;

use super::app_domains::ExtraNames;
use super::extension::{AdoptedStack, HttpCheck, KnownTrouble, LoginRequest, SecretSpec};
use super::files::{FileSecret, NeededConfig};
use super::lint::LintFinding;
use super::requirements::ServiceRequirements;
use super::traefik1::Labels;
use super::volumes::StackVolumes;

/// A stack, ready for the engine.
#[derive(Debug, Clone, Default)]
pub struct RenderedStack {
    /// What `docker stack deploy` reads.
    pub yaml: String,
    /// In the order of the file.
    pub services: Vec<RenderedService>,
    /// What is not as it should be.
    pub findings: Vec<LintFinding>,
    /// What was changed in the file on the way; a sentence each.
    pub notes: Vec<String>,
    /// The volumes, and how they are mounted.
    pub volumes: StackVolumes,
    /// Swarm configs and secrets with the content of files.
    pub configs: Vec<NeededConfig>,
    /// Swarm secrets with the content of files.
    pub file_secrets: Vec<FileSecret>,
    /// Secrets that are generated when they do not exist yet.
    pub secrets: Vec<NeededSecret>,
    /// Configs from outside the stack that services use, as Swarm knows them: matou makes none of them.
    pub external_configs: Vec<String>,
    /// Secrets from outside the stack that services use, as Swarm knows them: matou makes none of them.
    pub external_secrets: Vec<String>,
    /// External networks, as Swarm knows them.
    pub networks: Vec<String>,
    /// How many networks the engine makes for the stack.
    pub own_networks: usize,
    /// Folders of the nodes that are mounted as bind mounts; the engine does not make them.
    pub binds: Vec<std::path::PathBuf>,
    /// Everything of the nodes that is mounted as a bind mount: folders and files. Sorted.
    pub bind_sources: Vec<std::path::PathBuf>,
    /// Host names of all routers.
    pub domains: Vec<String>,
    /// Those of them beside the main one that the application's file gives it.
    pub extra_names: Option<ExtraNames>,
    /// Published ports with their protocols.
    pub ports: Vec<(u64, String)>,
    /// The check by which the application is well; `None` without a domain.
    pub check: Option<HttpCheck>,
    /// How the operator logs in.
    pub login: Option<AppLogin>,
    /// What is known to go wrong at a first start.
    pub troubles: Vec<KnownTrouble>,
    /// It ran before matou knew it.
    pub adopted: Option<AdoptedStack>,
}

impl RenderedStack {
    /// Returns the main name: that of the others, or the first.
    pub fn main_domain(&self) -> Option<&String> {
        match &self.extra_names {
            Some(names) => Some(&names.main),
            None => self.domains.first(),
        }
    }

    /// Returns the name to which another one leads; `None` for a name that answers.
    pub fn redirect_of(&self, domain: &str) -> Option<&String> {
        let names = self.extra_names.as_ref()?;
        names.redirects.contains(domain).then_some(&names.main)
    }
}

/// How the operator logs in to an application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppLogin {
    /// Address of the page; empty for an application without a domain.
    pub url: String,
    /// Name to log in with; empty where the note says who it is.
    pub user: String,
    /// The generated secret with the password.
    pub secret: Option<String>,
    /// What else has to be known.
    pub note: String,
    /// The edge asks for a password, because the installer is open.
    pub is_guarded: bool,
    /// What shows that a log-in works.
    pub request: Option<LoginRequest>,
}

/// Name with which the edge lets the operator to an open installer.
pub const GUARD_USER: &str = "operator";

/// The kept secret with the password of [`GUARD_USER`].
pub const GUARD_SECRET: &str = "guard_password";

impl AppLogin {
    /// Says it in lines, with the command that shows the password.
    pub fn describe_lines(&self, app: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let user = match self.user.as_str() {
            "" => String::new(),
            user => tr!(" as {user}"),
        };
        if !self.url.is_empty() {
            lines.push(tr!("log in at {}{user}", self.url));
        } else if !user.is_empty() {
            lines.push(tr!("log in{user}"));
        }
        if let Some(secret) = &self.secret {
            lines.push(tr!(
                "the password that its stack made: `matou secrets {app} show {secret}`"
            ));
        }
        if !self.note.is_empty() {
            lines.push(self.note.clone());
        }
        if self.is_guarded {
            lines.push(tr!(
                "until you have installed it, the edge asks for the user {GUARD_USER}, with the password of `matou secrets {app} show {GUARD_SECRET}`: its installer is open to whoever comes first; then `matou switch {app} --basic-auth off`"
            ));
        }
        lines
    }
}

/// A generated secret that a stack needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededSecret {
    /// What it is made like.
    pub spec: SecretSpec,
    /// Counted from 1; a changed value is a new version.
    pub version: u32,
    /// As Swarm knows it.
    pub swarm_name: String,
}

/// One service of a rendered stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedService {
    /// Without the application's name.
    pub name: String,
    /// With its tag.
    pub image: String,
    /// `None` for a global service.
    pub replicas: Option<u64>,
    /// Whether its tasks end by themselves (`replicated-job`, `global-job`).
    pub job: bool,
    /// What one task requires of its node.
    pub requirements: ServiceRequirements,
    /// Hash of everything that the file says of the service.
    pub hash: String,
    /// Whether the file says of it what ran when it was adopted. It carries no label with the hash
    /// then, as it had none.
    pub as_adopted: bool,
    /// Labels and environment, for comparing.
    pub labels: Labels,
    /// The variables of its containers.
    pub environment: Labels,
}
