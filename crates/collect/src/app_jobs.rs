//! What is remembered of scheduled jobs of applications, read on the storage node.

use matou_i18n::tr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::signals::{UpdateSender, log_reading};
use crate::CollectError;
use matou_base::text::SafeText;
use matou_config::Config;
use matou_docker::Nodes;
use matou_host::{Command, shell_script};
use matou_model::{AppJobRuns, Datum, is_job_name};

const READ: &str = shell_script(include_str!("../scripts/read_app_jobs.sh"));

/// How often the storage node is asked.
const POLL: Duration = Duration::from_secs(60);

/// Reports again and again what is remembered.
pub(super) async fn watch_app_jobs(config: Arc<Config>, nodes: Nodes, reports: UpdateSender) {
    loop {
        let reading = log_reading("app jobs", None, read_app_jobs(&config, &nodes)).await;
        if !reports
            .send(Datum::AppJobs(reading.map_err(SafeText::of)))
            .await
        {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Reads the newest runs of all jobs, and the storage node's clock.
///
/// # Errors
/// The storage node can't be asked.
pub async fn read_app_jobs(config: &Config, nodes: &Nodes) -> Result<AppJobRuns, CollectError> {
    let name = &config.storage.node;
    let Some(node) = nodes.get(name) else {
        return Err(CollectError::failed(tr!("{name} is not among the nodes")));
    };
    let folder = matou_backup::matou_folder(config).join("jobs");
    let read = Command::sh(READ)
        .arg(folder.display().to_string())
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("runs of jobs"));
    let text = node.host.run_ok(&read).await?.stdout_text();
    parse_app_jobs(&text)
        .ok_or_else(|| CollectError::failed(tr!("{name} does not say what time it is: `date`")))
}

fn parse_app_jobs(text: &str) -> Option<AppJobRuns> {
    let mut lines = text.lines();
    let at = Timestamp::from_second(lines.next()?.trim().parse().ok()?).ok()?;
    let mut runs = AppJobRuns {
        at,
        ..AppJobRuns::default()
    };
    let mut of = None;
    for line in lines {
        match line.strip_prefix("file ") {
            Some(file) => {
                let name = file.strip_suffix(".jsonl").and_then(|f| f.split_once('/'));
                of = name.filter(|(_, job)| is_job_name(job));
            }
            None => {
                if let Some((app, job)) = of {
                    runs.add_line(app, job, line);
                }
            }
        }
    }
    Some(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_belong_to_the_file_above_them() {
        let line = |state: &str| {
            format!(
                r#"{{"due":"2026-01-01T00:01:00Z","begun":"2026-01-01T00:01:01Z","state":"{state}"}}"#
            )
        };
        let text = format!(
            "1767225662\nfile shop/cron.jsonl\n{}\nnonsense\n{}\nfile ../../etc/passwd\n{}\n",
            line("running"),
            line("done"),
            line("done")
        );
        let read = parse_app_jobs(&text).unwrap();
        assert_eq!(read.at.to_string(), "2026-01-01T00:01:02Z");
        let runs: Vec<_> = read.runs.iter().collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        assert_eq!(runs[0].0, &("shop".to_owned(), "cron".to_owned()));
        assert_eq!(runs[0].1.len(), 1);
        assert!(parse_app_jobs("").is_none());
    }
}
