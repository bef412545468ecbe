//! A command in a running container, by the engine's API.

use matou_i18n::tr;
use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWrite;

use super::{Docker, DockerError};
use matou_host::OutputStream;

/// Most output that is taken, bytes.
const MAX_EXEC_OUTPUT: usize = 8 << 20;

/// A command for a container, as the engine takes it: nothing of it stands on a command line of the node.
#[derive(Clone, Default)]
pub struct ContainerCommand {
    /// The program with its arguments, which no shell looks at.
    pub argv: Vec<String>,
    /// `NAME=VALUE`, beside what the container's processes have.
    pub env: Vec<String>,
    /// Who runs it: `user`, `uid`, `user:group`; the container's own user without.
    pub user: Option<String>,
    /// Where it begins; the container's own folder without.
    pub workdir: Option<String>,
    /// Whether it gets an input.
    pub stdin: bool,
}

/// Pieces of what a command prints, as they come; an error ends them.
pub type ExecOutput = Pin<Box<dyn Stream<Item = Result<(OutputStream, Vec<u8>), String>> + Send>>;

/// A command that was started in a container.
pub struct StartedExec {
    /// The engine's id of it.
    pub id: String,
    /// What it prints, as it comes.
    pub output: ExecOutput,
    /// What it reads, when it gets an input; its input ends when this is shut down.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// How far a command in a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecState {
    /// Whether it runs.
    pub running: bool,
    /// Its process on the node, once it has one.
    pub pid: Option<i64>,
    /// Its exit code, once it has ended. The engine's own are 126 and 127.
    pub code: Option<i64>,
}

impl Docker {
    /// Starts a command in a container, without a terminal.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses: the container does not run.
    pub async fn start_in_container(
        &self,
        container: &str,
        command: ContainerCommand,
    ) -> Result<StartedExec, DockerError> {
        let client = self.bollard_client().await?;
        let options = CreateExecOptions {
            cmd: Some(command.argv),
            env: Some(command.env),
            user: command.user,
            working_dir: command.workdir,
            attach_stdin: Some(command.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let id = match client.create_exec(container, options).await {
            Ok(created) => created.id,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        match client.start_exec(&id, None).await {
            Ok(StartExecResults::Attached { output, input }) => Ok(StartedExec {
                id,
                output: Box::pin(output.map(|piece| match piece {
                    Ok(LogOutput::StdErr { message }) => {
                        Ok((OutputStream::Stderr, message.to_vec()))
                    }
                    Ok(piece) => Ok((OutputStream::Stdout, piece.into_bytes().to_vec())),
                    Err(e) => Err(super::convert::root_cause(&e)),
                })),
                input,
            }),
            Ok(StartExecResults::Detached) => Err(DockerError::Other {
                node: self.node_name(),
                reason: tr!("the command's output is not handed out").into(),
            }),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }

    /// Asks how far a command in a container is.
    ///
    /// # Errors
    /// When the engine can't be asked, or does not know it any more.
    pub async fn query_exec(&self, id: &str) -> Result<ExecState, DockerError> {
        let client = self.bollard_client().await?;
        match client.inspect_exec(id).await {
            Ok(state) => Ok(ExecState {
                running: state.running.unwrap_or(false),
                pid: state.pid.filter(|pid| *pid > 0),
                code: state.exit_code,
            }),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }

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
