//! An application is asked as its check says, inside the network of its own container: in a rehearsal no
//! edge leads to it.

use matou_i18n::tr;
use std::time::{Duration, Instant};

use crate::running_container::find_running_container;
use crate::{FleetContext, OpsError};
use matou_edge::HttpsAnswer;
use matou_host::{Command, shell_script};
use matou_job::{StepContext, StepError};
use matou_model::status_hint;
use matou_stack::{HttpCheck, RenderedStack};

/// Sends a request to a port of a container.
const ASK: &str = shell_script(include_str!("../../scripts/ask_container.sh"));

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is asked.
const POLL: Duration = Duration::from_secs(2);

/// How an application is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// The service that answers, without the application's name.
    service: String,
    port: u16,
    domain: String,
    check: HttpCheck,
}

impl Question {
    /// Returns how an application is asked whose stack is rendered so; `None` where no router of the edge
    /// leads to one port of it by plain HTTP, or it has no check.
    pub(super) fn of_stack(rendered: &RenderedStack) -> Option<Self> {
        let check = rendered.check.clone()?;
        let domain = rendered.main_domain()?.clone();
        let port = |labels: &matou_stack::Labels| {
            let ends = |end: &str| {
                let mut all = labels.iter();
                let found = all.find(|(k, _)| k.to_ascii_lowercase().ends_with(end));
                found.map(|(_, v)| v.clone())
            };
            let scheme = ends(".loadbalancer.server.scheme");
            let port = ends(".loadbalancer.server.port")?.parse::<u16>().ok()?;
            scheme.is_none_or(|s| s == "http").then_some(port)
        };
        let rules = |labels: &matou_stack::Labels| {
            let is_rule = |k: &str| k.starts_with("traefik.http.routers.") && k.ends_with(".rule");
            let rules = labels.iter().filter(|(k, _)| is_rule(k));
            rules.map(|(_, v)| v.clone()).collect::<Vec<_>>()
        };
        let mut routed: Vec<(bool, &str, u16)> = Vec::new();
        for service in &rendered.services {
            let rules = rules(&service.labels);
            if let (false, Some(port)) = (rules.is_empty(), port(&service.labels)) {
                let all_paths = rules.iter().any(|rule| !rule.contains("Path"));
                routed.push((!all_paths, &service.name, port));
            }
        }
        // The one that has the whole domain before those that have some paths of it.
        routed.sort_by_key(|(some_paths, ..)| *some_paths);
        let (_, service, port) = *routed.first()?;
        Some(Self {
            service: service.to_owned(),
            port,
            domain,
            check,
        })
    }

    /// Returns what the service is asked, in words.
    pub(super) fn describe(&self) -> String {
        tr!(
            "{} at port {} for {}",
            self.service,
            self.port,
            self.check.path
        )
    }

    /// Waits until the copy `name` answers as the check says. Returns the answer in words.
    ///
    /// # Errors
    /// What it answered at last.
    pub(super) async fn wait_for_answer(
        &self,
        fleet: &FleetContext,
        name: &str,
        cx: &StepContext,
    ) -> Result<String, StepError> {
        let limit = Duration::from_secs(self.check.within);
        let wait = cx.wait_at_most(limit, POLL);
        loop {
            let why = match self.ask(fleet, name, cx).await {
                Ok(answer) if answer.is_well(&self.domain, &self.check.expected_answer()) => {
                    return Ok(tr!("{} answers {}", self.check.path, answer.status));
                }
                Ok(answer) => tr!(
                    "{} answers {}{}",
                    self.check.path,
                    answer.status,
                    match &answer.fault {
                        Some(fault) => fault,
                        None => status_hint(answer.status),
                    }
                ),
                Err(e) => e.to_string(),
            };
            let late = || tr!("{why}, after {} s", limit.as_secs());
            wait.pause(late).await?;
        }
    }

    async fn ask(
        &self,
        fleet: &FleetContext,
        name: &str,
        cx: &StepContext,
    ) -> Result<HttpsAnswer, OpsError> {
        let swarm = cx.query_swarm().await?;
        let service = format!("{name}_{}", self.service);
        let container =
            find_running_container(&service, &swarm, &fleet.nodes, tr!("it can't be asked"))
                .await?;
        let (path, domain) = (&self.check.path, &self.domain);
        // As the edge would pass it on. Of HTTP 1.0, so that the answer comes in one piece and ends.
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {domain}\r\nUser-Agent: matou\r\nAccept: */*\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: {domain}\r\nX-Forwarded-Port: 443\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: close\r\n\r\n"
        );
        let begun = Instant::now();
        let send = Command::sh(ASK)
            .arg(&container.id)
            .arg(self.port.to_string())
            .arg(PATIENCE.as_secs().to_string())
            .stdin(request.into_bytes())
            .sudo()
            .timeout(PATIENCE + Duration::from_secs(20))
            .label(tr!("ask {service}"));
        let out = container.node.host.run(&send).await?;
        let answer = parse_answer(&String::from_utf8_lossy(&out.stdout), &self.check, begun);
        answer.ok_or_else(|| {
            let said = String::from_utf8_lossy(&out.stderr);
            let last = said.lines().map(str::trim).rfind(|l| !l.is_empty());
            let last = last.unwrap_or(tr!("no answer"));
            OpsError::failed(tr!("port {} of {service}: {last}", self.port))
        })
    }
}

/// Reads an answer of HTTP; `None` when it is none.
fn parse_answer(text: &str, check: &HttpCheck, begun: Instant) -> Option<HttpsAnswer> {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .or_else(|| text.split_once("\n\n"))
        .unwrap_or((text, ""));
    let mut lines = head.lines();
    let first = lines.next()?;
    let status: u16 = match first.strip_prefix("HTTP/1.") {
        Some(rest) => rest.split(' ').nth(1)?.parse().ok()?,
        None => return None,
    };
    let location = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location")
            .then(|| value.trim().to_owned())
    });
    let wanted = check.expected_answer();
    let is_looked_at = location.is_some() || wanted.status.contains(&status);
    let fault = match is_looked_at && wanted.needs_text() {
        true => {
            let text = body.to_owned() + location.as_deref().unwrap_or_default();
            wanted.find_fault(&text)
        }
        false => None,
    };
    Some(HttpsAnswer {
        status,
        took: begun.elapsed(),
        location,
        fault,
        page: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_config::Config;
    use matou_stack::{Catalogue, RenderTarget};

    #[test]
    fn the_service_behind_the_domain_is_asked() {
        let catalogue = Catalogue::load(None).unwrap();
        let config = Config::this_machine();
        let variables = [("DOMAIN".to_owned(), "b.example.org".to_owned())].into();
        let target = RenderTarget::for_fleet(&config);
        let rendered = catalogue.render_stack("ghost", "blog", &variables, &target);
        let question = Question::of_stack(&rendered.unwrap()).unwrap();
        assert_eq!(question.domain, "b.example.org");
        assert_ne!(question.service, "db");
    }

    #[test]
    fn answers_are_read_whatever_they_hold() {
        let check = HttpCheck {
            contains: vec!["ready".into()],
            ..HttpCheck::default()
        };
        let read = |text: &str| parse_answer(text, &check, Instant::now());
        let fine = read("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nit is ready").unwrap();
        assert!(fine.is_well("a.org", &check.expected_answer()));
        let other = read("HTTP/1.0 200 OK\r\n\r\nnot so").unwrap();
        assert!(!other.is_well("a.org", &check.expected_answer()));
        let moved = read("HTTP/1.1 302 Found\r\nLocation: https://a.org/ready\r\n\r\n").unwrap();
        assert!(moved.is_well("a.org", &check.expected_answer()));
        for text in [
            "",
            "HTTP/1.1",
            "HTTP/1.1 x",
            "SSH-2.0-x\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(read(text).is_none(), "{text:?}");
        }
    }
}
