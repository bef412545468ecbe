//! In a drill, applications must not reach the world: no mail is sent twice, no certificate asked
//! for, no production server talked to. Containers of a drill's node may answer and open nothing.

use async_trait::async_trait;
use matou_i18n::tr;

use matou_host::{Command, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// Drops packets of connections that containers open out of the node by its default route. With
/// `close` it adds the rule, else it only looks; prints `open` or `closed`. `DOCKER-USER` is the
/// chain that Docker leaves to the operator.
const ISOLATION_RULE: &str = shell_script(include_str!("../../scripts/isolate_node.sh"));

/// Keeps containers of this node from opening connections to the outside.
pub(super) struct IsolateContainers;

impl IsolateContainers {
    async fn run_rule(&self, cx: &StepContext, what: &str) -> Result<bool, StepError> {
        let command = Command::sh(ISOLATION_RULE)
            .arg(what)
            .sudo()
            .label(tr!("isolate the node"));
        let said = cx.host.run_ok(&command).await?.stdout_text();
        Ok(!said.trim().ends_with("open"))
    }
}

#[async_trait]
impl Step for IsolateContainers {
    fn name(&self) -> String {
        tr!("isolation").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        if cx.docker.query_engine().await.is_err() {
            return Ok(Check::Unknown(tr!("the engine comes first").into()));
        }
        let what = tr!("connections of containers to the outside");
        Ok(match self.run_rule(cx, "look").await? {
            true => Check::Done(vec![Change::same(tr!("{what}: none"))]),
            false => Check::Change(vec![Change::modify(what, tr!("open"), tr!("none"))]),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        self.run_rule(cx, "close").await.map(|_| ())
    }
}
