//! What the engine's own client says of a rendered stack, before anything is made for it.

use matou_i18n::tr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use matou_base::text::clean_line;
use matou_host::Command;
use matou_job::{Change, Report, StepContext, StepError};
use matou_stack::RenderedStack;

use crate::FleetContext;

/// How long the client may read.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most characters of what it says.
const MOST_SAID: usize = 400;

/// Asks `docker stack config` on the manager for its verdict. It knows that since Docker 25; what older
/// ones refuse is told by the deploy alone.
pub(super) struct EngineVerdict {
    /// Name or path of the stack, for the line in its file.
    pub stack: String,
    pub rendered: Arc<RenderedStack>,
    pub fleet: FleetContext,
}

#[async_trait]
impl Report for EngineVerdict {
    fn name(&self) -> String {
        tr!("docker's verdict").into()
    }

    async fn report(&self, cx: &StepContext) -> Result<Vec<Change>, StepError> {
        let command = Command::new("docker")
            .args(["stack", "config", "--compose-file", "-"])
            .stdin(self.rendered.yaml.clone().into_bytes())
            .sudo()
            .timeout(PATIENCE)
            .label("docker stack config");
        let Ok(out) = cx.host.run(&command).await else {
            return Ok(Vec::new());
        };
        let Some(refusal) = find_refusal(out.code == 1, &String::from_utf8_lossy(&out.stderr))
        else {
            return Ok(Vec::new());
        };
        let place = find_place(&refusal);
        let path: Vec<&str> = place.split('.').filter(|p| !p.is_empty()).collect();
        let at = self.fleet.catalogue.locate_entry(&self.stack, &path);
        let at = at.map_or_else(
            |_| self.stack.clone(),
            |(file, line)| format!("{file}:{line}"),
        );
        Err(StepError::failed(tr!(
            "{at}: docker refuses this stack: {refusal}. Mend the file; nothing was changed"
        )))
    }
}

/// Returns why the client refuses what it read; `None` when it takes it, or can't be asked.
fn find_refusal(is_refusal: bool, said: &str) -> Option<String> {
    // A client before Docker 25 has no such command, and prints its help.
    let is_unknown = ["unknown flag: --compose-file", "is not a docker command"];
    if !is_refusal || is_unknown.iter().any(|words| said.contains(words)) {
        return None;
    }
    // Warnings come first: "level=warning", and the "since" lines of ignored options.
    let last = said.lines().rfind(|line| !line.trim().is_empty())?;
    Some(clean_line(last).chars().take(MOST_SAID).collect())
}

/// Returns the path of keys with which a refusal begins ("services.web.ports.0 Does not match…"); empty
/// where there is none. What is said of the version of the format names no key.
fn find_place(refusal: &str) -> &str {
    if refusal.starts_with("unsupported Compose file version") {
        return "version";
    }
    let first = refusal.split_whitespace().next().unwrap_or_default();
    let sections = ["services.", "networks.", "volumes.", "secrets.", "configs."];
    match sections.iter().any(|s| first.starts_with(s)) {
        true => first.trim_end_matches([':', ',']),
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::Stdio;

    /// What the client of this machine says of a file.
    fn ask_client(text: &str) -> Option<String> {
        let mut client = std::process::Command::new("docker")
            .args(["stack", "config", "--compose-file", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the Docker client is installed");
        let mut stdin = client.stdin.take().expect("a pipe");
        // A client that knows no `stack config` ends without reading.
        let _ = stdin.write_all(text.as_bytes());
        drop(stdin);
        let out = client.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&out.stderr);
        if said.contains("unknown flag") {
            assert_eq!(find_refusal(false, &said), None);
            return None;
        }
        Some(find_refusal(out.status.code() == Some(1), &said).unwrap_or_default())
    }

    #[test]
    fn a_refusal_of_docker_is_read_with_its_place() {
        let file = |service: &str| {
            format!("version: '3.8'\nservices:\n  web:\n    image: x:1\n    build: .\n{service}")
        };
        let Some(taken) = ask_client(&file("")) else {
            return;
        };
        assert_eq!(taken, "");
        for (service, place) in [
            (
                "    deploy: {replicas: two}\n",
                "services.web.deploy.replicas",
            ),
            ("    ports: ['1:2/3/4']\n", "services.web.ports.0"),
            ("    depends_on: {db: {}}\n", "services.web.depends_on"),
            ("    volumes: ['::::']\n", ""),
        ] {
            let refusal = ask_client(&file(service)).expect("it knows the command");
            assert_eq!(find_place(&refusal), place, "{refusal}");
            assert!(!refusal.is_empty(), "{service}");
        }
    }
}
