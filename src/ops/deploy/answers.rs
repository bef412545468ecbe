//! The application answers under its domains, as its check says, asked at the edge of the fleet.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::edge::{Answer, Edge, Served, get};
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::model::hint;
use crate::ops::tasks::read;
use crate::stack::HttpCheck;

/// How often it is asked while waiting.
const POLL: Duration = Duration::from_secs(2);

/// How long a certificate is waited for; an application that answers without a good one is deployed
/// all the same, and its certificate is watched.
const CERTIFICATE: Duration = Duration::from_secs(60);

pub(super) struct Answers {
    pub domains: Vec<String>,
    pub check: HttpCheck,
    pub edge: Edge,
}

impl Answers {
    /// Whether something takes https for the fleet.
    async fn has_edge(&self, cx: &Cx) -> Result<bool, StepError> {
        let swarm = read(cx).await?;
        let https = |p: &String| p.starts_with(&format!("{}:", self.edge.port));
        Ok(swarm.services.iter().any(|s| s.ports.iter().any(https)))
    }

    /// The first answer that any node gives.
    async fn ask(&self, domain: &str) -> Result<(Answer, Served), String> {
        let mut last = "there is no node to ask".to_owned();
        for (_, address) in &self.edge.nodes {
            match get(
                address,
                self.edge.port,
                domain,
                &self.check.path,
                &self.edge.roots,
            )
            .await
            {
                Ok(answer) => return Ok(answer),
                Err(reason) => last = reason,
            }
        }
        Err(last)
    }

    /// What a domain answers, when it is what the check asks for.
    async fn answer(&self, domain: &str) -> Result<(Answer, Served), String> {
        let (answer, served) = self.ask(domain).await?;
        let status = answer.status;
        if answer.is_well(domain, &self.check.status) {
            return Ok((answer, served));
        }
        Err(format!(
            "https://{domain}{} answers {status}{}",
            self.check.path,
            hint(status)
        ))
    }
}

#[async_trait]
impl Step for Answers {
    fn name(&self) -> String {
        "answer".into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.check.within + 30)
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        if !self.has_edge(cx).await? {
            let line = Change::same("no answer is asked for")
                .warn("nothing takes https for the fleet: deploy the stack traefik");
            return Ok(Check::Done(vec![line]));
        }
        let mut lines = Vec::new();
        for domain in &self.domains {
            lines.push(match self.answer(domain).await {
                Ok((_, served)) => {
                    let line = Change::same(format!("https://{domain} answers"));
                    match served.problem {
                        Some(problem) => Change::modify(
                            format!("certificate of {domain}"),
                            problem,
                            "one that browsers take",
                        ),
                        None => line,
                    }
                }
                Err(reason) => Change::modify(format!("https://{domain}"), reason, "answers"),
            });
        }
        Ok(super::changed(lines))
    }

    /// That the application answers is what counts: a certificate may come later.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        for domain in &self.domains {
            self.answer(domain).await.map_err(StepError::failed)?;
        }
        Ok(())
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let begun = Instant::now();
        let patience = Duration::from_secs(self.check.within);
        for domain in &self.domains {
            let mut told = String::new();
            loop {
                let reason = match self.answer(domain).await {
                    Ok((_, served))
                        if served.problem.is_some() && begun.elapsed() < CERTIFICATE =>
                    {
                        let problem = served.problem.unwrap_or_default();
                        format!("{domain} answers; its certificate: {problem}")
                    }
                    Ok((answer, served)) => {
                        cx.out.note(told_of(domain, &answer, &served)).await;
                        break;
                    }
                    Err(reason) => reason,
                };
                if begun.elapsed() > patience {
                    return Err(StepError::failed(format!(
                        "{domain} does not answer as it should after {} s: {reason}",
                        self.check.within
                    )));
                }
                if told != reason {
                    cx.out.note(&reason).await;
                    told = reason;
                }
                tokio::select! {
                    () = tokio::time::sleep(POLL) => {}
                    () = cx.cancel.cancelled() => return Err(StepError::Cancelled),
                }
            }
        }
        Ok(())
    }
}

fn told_of(domain: &str, answer: &Answer, served: &Served) -> String {
    let days = (served.not_after - jiff::Timestamp::now()).as_hours() / 24;
    let certificate = match &served.problem {
        Some(problem) => format!("its certificate is not good: {problem}"),
        None => format!("certificate of {} for {days} days", served.issuer),
    };
    format!(
        "https://{domain} answers {} in {} ms; {certificate}",
        answer.status,
        answer.took.as_millis()
    )
}
