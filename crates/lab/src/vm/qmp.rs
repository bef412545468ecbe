//! A few words of QEMU's monitor protocol: <https://www.qemu.org/docs/master/interop/qmp-spec.html>.

use matou_i18n::tr;
use std::path::Path;
use std::time::Duration;

use color_eyre::eyre::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// How long all commands of a call may take together.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Carries out commands one after the other.
///
/// # Errors
/// QEMU's own words for the first that fails.
pub(super) async fn run_qmp_commands(socket: &Path, commands: &[(&str, Value)]) -> Result<()> {
    let talk = async {
        let stream = UnixStream::connect(socket)
            .await
            .wrap_err(tr!("the machine's monitor does not answer"))?;
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let hello = ("qmp_capabilities", json!({}));
        for (name, arguments) in std::iter::once(&hello).chain(commands) {
            let mut line = json!({ "execute": name, "arguments": arguments }).to_string();
            line.push('\n');
            write.write_all(line.as_bytes()).await?;
            // Greetings and events come in between.
            loop {
                let Some(line) = lines.next_line().await? else {
                    bail!("{}", tr!("the machine's monitor went away during {name}"));
                };
                let answer: Value = serde_json::from_str(&line)?;
                if let Some(error) = answer.get("error") {
                    bail!(
                        "{name}: {}",
                        error["desc"].as_str().unwrap_or(tr!("refused"))
                    );
                }
                if answer.get("return").is_some() {
                    break;
                }
            }
        }
        Ok(())
    };
    match tokio::time::timeout(TIMEOUT, talk).await {
        Ok(result) => result,
        Err(_) => bail!("{}", tr!("the machine's monitor does not answer")),
    }
}
