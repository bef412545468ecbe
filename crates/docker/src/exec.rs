//! A command in a running container, by the engine's API.

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use super::{Docker, DockerError};

/// Most output that is taken, bytes.
const MAX_EXEC_OUTPUT: usize = 8 << 20;

impl Docker {
    /// Runs a command in a container and returns what it printed.
    ///
    /// # Errors
    /// When the container is not there, the output is too long, or the command ends with another
    /// exit code than 0.
    pub async fn exec_in_container(
        &self,
        container: &str,
        argv: &[&str],
    ) -> Result<Vec<u8>, DockerError> {
        let client = self.bollard_client().await?;
        let options = CreateExecOptions {
            cmd: Some(argv.iter().map(|a| (*a).to_owned()).collect()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let id = match client.create_exec(container, options).await {
            Ok(created) => created.id,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let mut output = match client.start_exec(&id, None).await {
            Ok(StartExecResults::Attached { output, .. }) => output,
            Ok(StartExecResults::Detached) => return Ok(Vec::new()),
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let (mut out, mut said) = (Vec::new(), Vec::new());
        while let Some(frame) = output.next().await {
            match frame {
                Ok(LogOutput::StdErr { message }) => said.extend(message),
                Ok(frame) => out.extend(frame.into_bytes()),
                Err(e) => return Err(self.error_of_client(e).await),
            }
            if out.len() + said.len() > MAX_EXEC_OUTPUT {
                return Err(DockerError::ExecTooMuch {
                    node: self.node_name(),
                    program: argv[0].to_owned(),
                });
            }
        }
        let ended = match client.inspect_exec(&id).await {
            Ok(ended) => ended.exit_code.unwrap_or(0),
            Err(e) => return Err(self.error_of_client(e).await),
        };
        match ended {
            0 => Ok(out),
            code => Err(DockerError::ExecFailed {
                node: self.node_name(),
                program: argv[0].to_owned(),
                code,
                said: matou_base::text::clean_bytes(&said),
            }),
        }
    }
}
