//! What the edge shows under an application's domains: its page, or the application. Traefik reads the
//! swarm every few seconds, so each change is waited for until visitors see it.

use matou_i18n::tr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{FleetContext, OpsError};
use matou_edge::{EdgeEndpoints, HttpsAnswer, HttpsClient};
use matou_job::{StepContext, StepError};
use matou_model::ExpectedAnswer;

/// How often the edge is asked.
const POLL: Duration = Duration::from_millis(500);

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(6);

/// How long the edge must say the same: longer than it takes to read the swarm, so that what it has not
/// read yet is seen.
const STEADY: Duration = Duration::from_secs(7);

/// Traefik's own answer where no router takes the request; an application's 404 is an answer of it.
const NO_ROUTER: &str = "404 page not found";

/// Asks the edge what visitors see.
pub(super) struct EdgeView {
    edge: EdgeEndpoints,
    client: HttpsClient,
    domains: Vec<String>,
    path: String,
}

impl EdgeView {
    /// `domains` are those of the application `app`.
    ///
    /// # Errors
    /// The authority's file of `[edge]` can't be read.
    pub(super) fn new(
        fleet: &FleetContext,
        app: &str,
        domains: &[String],
    ) -> Result<Self, OpsError> {
        Ok(Self {
            edge: EdgeEndpoints::load(&fleet.config, &fleet.nodes)?,
            client: HttpsClient::default(),
            domains: domains.to_vec(),
            path: (fleet.answer_checks())(app).path,
        })
    }

    /// Asks every node that takes https for a domain; one sentence where none does.
    async fn ask(&self, domain: &str, way_in: Option<&str>) -> Result<Vec<HttpsAnswer>, OpsError> {
        let wanted = ExpectedAnswer {
            path: self.path.clone(),
            // Only of this one the text is read.
            status: vec![404],
            lacks: vec![NO_ROUTER.into()],
            way_in: way_in.map(str::to_owned),
            ..ExpectedAnswer::default()
        };
        let mut answers = Vec::new();
        for (name, address) in &self.edge.nodes {
            let to = (address.as_str(), self.edge.port);
            if !matches!(timeout(PATIENCE, TcpStream::connect(to)).await, Ok(Ok(_))) {
                continue;
            }
            let asked = self.client.get(address, self.edge.port, domain, &wanted);
            match timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) => answers.push(answer),
                Ok(Err(why)) => return Err(OpsError::failed(format_args!("{name}: {why}"))),
                Err(_) => {
                    return Err(OpsError::failed(tr!("{name}: {domain} gives no answer")));
                }
            }
        }
        match answers.is_empty() {
            true => Err(tr!("no node takes https").into()),
            false => Ok(answers),
        }
    }

    /// Waits until `is_so` holds of what every edge answers under every domain, for as long as `steady`.
    async fn wait(
        &self,
        cx: &StepContext,
        (limit, steady): (Duration, Duration),
        way_in: Option<&str>,
        is_so: impl Fn(&HttpsAnswer) -> bool,
    ) -> Result<(), StepError> {
        let wait = cx.wait_at_most(limit, POLL);
        let mut since = None;
        loop {
            let mut fault = None;
            for domain in &self.domains {
                match self.ask(domain, way_in).await {
                    Ok(answers) => {
                        if let Some(other) = answers.iter().find(|a| !is_so(a)) {
                            fault = Some(tr!("https://{domain} answers {}", other.status));
                        }
                    }
                    Err(why) => fault = Some(why.to_string()),
                }
            }
            match fault {
                None => {
                    let begun = *since.get_or_insert_with(Instant::now);
                    if begun.elapsed() >= steady {
                        return Ok(());
                    }
                    // What is so now is only looked at for longer.
                    tokio::time::sleep(POLL).await;
                    if cx.cancel.is_cancelled() {
                        return Err(StepError::Cancelled);
                    }
                }
                Some(fault) => {
                    since = None;
                    let late = || tr!("{fault} after {} s", limit.as_secs());
                    wait.pause(late).await?;
                }
            }
        }
    }

    /// Waits until visitors see the page.
    pub(super) async fn wait_for_page(
        &self,
        cx: &StepContext,
        kind: &str,
        limit: Duration,
    ) -> Result<(), StepError> {
        let is_page = |a: &HttpsAnswer| a.page.as_deref() == Some(kind);
        self.wait(cx, (limit, Duration::ZERO), None, is_page).await
    }

    /// Waits until the application answers who is let past the page, and goes on to: nobody may meet
    /// what the edge has not read yet.
    pub(super) async fn wait_for_app(
        &self,
        cx: &StepContext,
        way_in: &str,
        limit: Duration,
    ) -> Result<(), StepError> {
        self.wait(cx, (limit, STEADY), Some(way_in), is_of_app)
            .await
    }

    /// Waits until visitors see the page no more.
    pub(super) async fn wait_for_no_page(
        &self,
        cx: &StepContext,
        limit: Duration,
    ) -> Result<(), StepError> {
        let is_gone = |a: &HttpsAnswer| a.page.is_none();
        // Two readings of the swarm: who was sent to the page is answered by then.
        self.wait(cx, (limit, Duration::from_secs(1)), None, is_gone)
            .await
    }
}

/// Whether it is the application that answered, whatever it said: not a page, not Traefik for want of
/// it.
fn is_of_app(answer: &HttpsAnswer) -> bool {
    answer.page.is_none() && !matches!(answer.status, 502..=504) && answer.fault.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_application_itself_counts_as_its_answer() {
        let answer = |status, page: Option<&str>, fault: Option<&str>| HttpsAnswer {
            status,
            took: Duration::ZERO,
            location: None,
            fault: fault.map(str::to_owned),
            page: page.map(str::to_owned),
        };
        for (own, status, page, fault) in [
            (true, 200, None, None),
            (true, 302, None, None),
            // A page of its own that is not there, and Traefik's without a router.
            (true, 404, None, None),
            (false, 404, None, Some(" with it")),
            (false, 503, Some("maintenance"), None),
            (false, 403, Some("suspended"), None),
            (false, 502, None, None),
        ] {
            assert_eq!(is_of_app(&answer(status, page, fault)), own, "{status}");
        }
    }
}
