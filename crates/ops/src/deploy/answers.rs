//! The application answers under its domains, as its check says, asked at the edge of the fleet.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::OpsError;
use matou_edge::{EdgeEndpoints, HttpsAnswer, PresentedCertificate, get_with_certificate};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{ExpectedAnswer, status_hint};
use matou_stack::HttpCheck;

/// How often it is asked while waiting.
const POLL: Duration = Duration::from_secs(2);

/// How long to wait for a good certificate. An application that answers without one counts as
/// deployed all the same; its certificate is watched from then on.
const CERTIFICATE_WAIT: Duration = Duration::from_secs(60);

pub(super) struct WaitForAnswers {
    pub domains: Vec<String>,
    /// Names that lead to another, with that one.
    pub redirects: BTreeMap<String, String>,
    pub check: HttpCheck,
    pub edge: EdgeEndpoints,
}

impl WaitForAnswers {
    /// Returns what a name must answer.
    fn expected_answer(&self, domain: &str) -> ExpectedAnswer {
        match self.redirects.get(domain) {
            Some(main) => ExpectedAnswer::redirect(&self.check.path, main),
            None => self.check.expected_answer(),
        }
    }

    /// Whether something takes https for the fleet.
    async fn has_edge(&self, cx: &StepContext) -> Result<bool, StepError> {
        let swarm = cx.query_swarm().await?;
        let https = |p: &String| p.starts_with(&format!("{}:", self.edge.port));
        Ok(swarm.services.iter().any(|s| s.ports.iter().any(https)))
    }

    /// Asks the nodes one after another and returns the first answer; the last node's error if none
    /// answers.
    async fn query_any_node(
        &self,
        domain: &str,
        wanted: &ExpectedAnswer,
    ) -> Result<(HttpsAnswer, PresentedCertificate), OpsError> {
        let mut last = OpsError::from(tr!("there is no node to ask"));
        for (_, address) in &self.edge.nodes {
            match get_with_certificate(address, self.edge.port, domain, wanted, &self.edge.roots)
                .await
            {
                Ok(answer) => return Ok(answer),
                Err(reason) => last = reason.into(),
            }
        }
        Err(last)
    }

    /// Returns what a domain answers. Fails with a sentence when the check expects another answer.
    async fn check_domain(
        &self,
        domain: &str,
        cx: &StepContext,
    ) -> Result<(HttpsAnswer, PresentedCertificate), OpsError> {
        // Behind the page, where visitors see one.
        let wanted = ExpectedAnswer {
            way_in: cx.query_swarm().await?.find_way_in(domain),
            ..self.expected_answer(domain)
        };
        let (answer, served) = self.query_any_node(domain, &wanted).await?;
        if answer.is_well(domain, &wanted) {
            return Ok((answer, served));
        }
        let status = answer.status;
        Err(OpsError::failed(tr!(
            "https://{domain}{} answers {status}{}",
            self.check.path,
            match &answer.fault {
                Some(fault) => fault,
                None => status_hint(status),
            }
        )))
    }
}

#[async_trait]
impl Step for WaitForAnswers {
    fn name(&self) -> String {
        tr!("answer").into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.check.within + 30)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        if !self.has_edge(cx).await? {
            let line = Change::same(tr!("no answer is asked for")).with_warning(tr!(
                "nothing takes https for the fleet: deploy the stack traefik"
            ));
            return Ok(Check::Done(vec![line]));
        }
        let mut lines = Vec::new();
        for domain in &self.domains {
            lines.push(match self.check_domain(domain, cx).await {
                Ok((_, served)) => {
                    let line = Change::same(tr!("https://{domain} answers"));
                    match served.problem {
                        Some(problem) => Change::modify(
                            tr!("certificate of {domain}"),
                            problem,
                            tr!("one that browsers take"),
                        ),
                        None => line,
                    }
                }
                Err(e) => {
                    Change::modify(format!("https://{domain}"), e.to_string(), tr!("answers"))
                }
            });
        }
        Ok(Check::from_changes(lines))
    }

    /// Looks at the answer alone: a good certificate may come later.
    async fn verify(&self, cx: &StepContext) -> Result<(), StepError> {
        for domain in &self.domains {
            self.check_domain(domain, cx).await?;
        }
        Ok(())
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        // A restore asks too, and would take back what nobody can be asked about.
        if !self.has_edge(cx).await? {
            return Ok(());
        }
        let begun = Instant::now();
        let wait = cx.wait_at_most(Duration::from_secs(self.check.within), POLL);
        for domain in &self.domains {
            let mut told = String::new();
            loop {
                let reason = match self.check_domain(domain, cx).await {
                    Ok((_, served))
                        if served.problem.is_some() && begun.elapsed() < CERTIFICATE_WAIT =>
                    {
                        let problem = served.problem.unwrap_or_default();
                        tr!("{domain} answers; its certificate: {problem}")
                    }
                    Ok((answer, served)) => {
                        let text = describe_good_answer(domain, &answer, &served);
                        cx.out.send_answer(domain, &text).await;
                        break;
                    }
                    Err(e) => e.to_string(),
                };
                if told != reason {
                    cx.out.note(&reason).await;
                    told.clone_from(&reason);
                }
                let late = || {
                    tr!(
                        "{domain} does not answer as it should after {} s: {reason}",
                        self.check.within
                    )
                };
                wait.pause(late).await?;
            }
        }
        Ok(())
    }
}

fn describe_good_answer(
    domain: &str,
    answer: &HttpsAnswer,
    served: &PresentedCertificate,
) -> String {
    let days = (served.not_after - jiff::Timestamp::now()).as_hours() / 24;
    let certificate = match &served.problem {
        Some(problem) => tr!("its certificate is not good: {problem}"),
        None => tr!("certificate of {} for {days} days", served.issuer),
    };
    tr!(
        "https://{domain} answers {} in {} ms; {certificate}",
        answer.status,
        answer.took.as_millis()
    )
}
