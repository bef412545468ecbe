//! Commands of two nodes, of which one reads what the other prints. The data goes through the machine on which
//! matou runs.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::OpsError;
use matou_host::{Command, Host, HostError, OutputStream};

/// How much of what a command says is kept, in bytes.
const KEPT_SAID: usize = 4096;

/// Runs a command to its end and passes on what it prints. When it fails, `end` ends the others.
pub(crate) async fn run_stage(
    host: &Host,
    command: &Command,
    to: Option<mpsc::Sender<Vec<u8>>>,
    end: &CancellationToken,
) -> Result<(), HostError> {
    let (pieces, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(16);
    let unheard = end.child_token();
    let running = host.stream_bytes(command, pieces, &unheard);
    let passing = async {
        let mut said = Vec::new();
        while let Some((stream, bytes)) = arriving.recv().await {
            match (stream, &to) {
                (OutputStream::Stdout, Some(to)) => {
                    // Who does not read any more has failed, and says why itself.
                    let sent = unheard.run_until_cancelled(to.send(bytes)).await;
                    if !matches!(sent, Some(Ok(()))) {
                        unheard.cancel();
                        break;
                    }
                }
                _ => {
                    said.extend(bytes);
                    let over = said.len().saturating_sub(KEPT_SAID);
                    said.drain(..over);
                }
            }
        }
        // The next one sees the end of its input.
        drop(to);
        said
    };
    let (code, said) = tokio::join!(running, passing);
    let is_unheard = unheard.is_cancelled();
    let result = match code {
        Ok(0) => Ok(()),
        Ok(code) => Err(HostError::Failed {
            node: host.name().to_owned(),
            command: command.to_string(),
            code,
            last_lines: last_lines(&said),
        }),
        Err(e) => Err(e),
    };
    if result.is_err() && !is_unheard {
        end.cancel();
    }
    result
}

/// The last lines of what a command said.
fn last_lines(said: &[u8]) -> Vec<String> {
    let lines = said.split(|b| *b == b'\n').rev();
    let lines = lines.filter(|l| !l.trim_ascii().is_empty()).take(5);
    let mut last: Vec<String> = lines.map(matou_base::text::clean_bytes).collect();
    last.reverse();
    last
}

/// The error that says most: one that ended the others, not one that was ended.
pub(crate) fn choose_error<const N: usize>(
    results: [Result<(), HostError>; N],
) -> Result<(), OpsError> {
    let mut errors: Vec<HostError> = results.into_iter().filter_map(Result::err).collect();
    errors.sort_by_key(|e| matches!(e, HostError::Cancelled { .. }));
    match errors.into_iter().next() {
        None => Ok(()),
        Some(e) => Err(e.into()),
    }
}
