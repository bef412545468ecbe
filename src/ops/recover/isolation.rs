//! In a drill, applications must not reach the world: no mail is sent twice, no certificate asked
//! for, no production server talked to. Containers of a drill's node may answer and open nothing.

use async_trait::async_trait;

use crate::host::Command;
use crate::job::{Change, Check, Cx, Step, StepError};

/// Packets that containers send out of the node by its default route, of connections they open
/// themselves, are dropped. `DOCKER-USER` is the chain that Docker leaves to the operator.
const RULE: &str = r#"set -e
dev=$(ip -o -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
[ -n "$dev" ] || { echo "there is no default route: nothing gets out"; exit 0; }
rule="-o $dev -m conntrack --ctstate NEW -j DROP"
iptables -C DOCKER-USER $rule 2>/dev/null && { echo "closed"; exit 0; }
[ "$1" = close ] || { echo "open"; exit 0; }
iptables -N DOCKER-USER 2>/dev/null || :
iptables -I DOCKER-USER $rule
echo "closed"
"#;

/// Containers of this node open no connection to the outside.
pub(super) struct Isolated;

impl Isolated {
    async fn run(&self, cx: &Cx, what: &str) -> Result<bool, StepError> {
        let command = Command::sh(RULE).arg(what).sudo().label("isolate the node");
        let said = cx.host.run_ok(&command).await?.text();
        Ok(!said.trim().ends_with("open"))
    }
}

#[async_trait]
impl Step for Isolated {
    fn name(&self) -> String {
        "isolation".into()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        if cx.docker.engine().await.is_err() {
            return Ok(Check::Unknown("the engine comes first".into()));
        }
        let what = "connections of containers to the outside";
        Ok(match self.run(cx, "look").await? {
            true => Check::Done(vec![Change::same(format!("{what}: none"))]),
            false => Check::Change(vec![Change::modify(what, "open", "none")]),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        self.run(cx, "close").await.map(|_| ())
    }
}
