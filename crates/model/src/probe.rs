//! What applications answer under their domains.

use matou_base::text::SafeText;
use matou_i18n::tr;
use serde::Serialize;

/// What one domain of an application answered, asked at the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The application: a stack, or a loose service.
    pub app: String,
    /// The service that claims the domain.
    pub service: String,
    /// The host name that was asked.
    pub domain: String,
    /// What was asked for.
    pub path: String,
    /// The answer, or why there was none, in one sentence.
    #[serde(serialize_with = "crate::reading::write_outcome")]
    pub outcome: Result<ProbeAnswer, SafeText>,
}

/// An answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeAnswer {
    /// The node of the edge that was asked.
    pub node: String,
    /// HTTP status code.
    pub status: u16,
    /// Milliseconds from connecting to the answer's head.
    pub millis: u32,
    /// Whether it is an answer that the application's check accepts.
    pub well: bool,
    /// Why its text is not that of a finished application, as the end of a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What an application must answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpectedAnswer {
    /// Path that is asked for.
    pub path: String,
    /// HTTP status codes that are well.
    pub status: Vec<u16>,
    /// Texts that the answer must contain: an installer lacks them.
    pub contains: Vec<String>,
    /// Texts that the answer must lack: those of an installer.
    pub lacks: Vec<String>,
    /// The name to which the asked one must lead, for good.
    pub redirect_to: Option<String>,
    /// The word that leads past a page that is there instead of the application.
    pub way_in: Option<String>,
}

impl ExpectedAnswer {
    /// Returns what a name must answer that leads to another.
    pub fn redirect(path: &str, to: &str) -> Self {
        Self {
            path: path.to_owned(),
            status: vec![301, 308],
            redirect_to: Some(to.to_owned()),
            ..Self::default()
        }
    }

    /// Whether the answer's text matters, and not its status alone.
    pub fn needs_text(&self) -> bool {
        !(self.contains.is_empty() && self.lacks.is_empty())
    }

    /// Returns why a text is not that of a finished application, as the end of a sentence; `None`
    /// when it is.
    pub fn find_fault(&self, text: &str) -> Option<String> {
        let missing = self.contains.iter().find(|t| !text.contains(t.as_str()));
        if let Some(missing) = missing {
            return Some(tr!(
                " without `{missing}`, which it has when it is installed"
            ));
        }
        let found = self.lacks.iter().find(|t| text.contains(t.as_str()));
        found.map(|found| tr!(" with `{found}`, which its installer has"))
    }
}

impl Probe {
    /// What is wrong in one sentence, if something is.
    pub fn problem(&self) -> Option<String> {
        let (domain, path) = (&self.domain, &self.path);
        match &self.outcome {
            Ok(answered) if answered.well => None,
            Ok(answered) => Some(tr!(
                "https://{domain}{path} answers {}{}",
                answered.status,
                match &answered.fault {
                    Some(fault) => fault,
                    None => status_hint(answered.status),
                }
            )),
            Err(reason) => Some(reason.to_string()),
        }
    }
}

/// Explains an unwanted status, as the end of a sentence.
pub fn status_hint(status: u16) -> &'static str {
    match status {
        404 => tr!(": Traefik knows no router for it, or the application has no such page"),
        502..=504 => tr!(": the application does not answer Traefik"),
        _ => "",
    }
}
