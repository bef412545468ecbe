//! When the domains of applications' names end, told to the console.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use matou_base::text::SafeText;
use matou_config::RdapConfig;
use matou_model::{Datum, Swarm, Update};
use matou_ops::{FleetContext, OpsError, read_registered_domains};
use matou_ui::Msg;

/// How often it is looked for names that nobody was asked about; registries are asked once a day.
const PERIOD: Duration = Duration::from_secs(600);

/// When it is tried again while the swarm does not answer.
const PAUSE: Duration = Duration::from_secs(30);

/// Tells the console again and again what registries say; returns when nobody is to be asked, or the console
/// is closed.
pub(crate) async fn watch_domains(fleet: FleetContext, messages: mpsc::Sender<Msg>) {
    if fleet.config.rdap == RdapConfig::Off {
        return;
    }
    loop {
        let Ok(swarm) = query_swarm(&fleet).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let read = read_registered_domains(&fleet, &swarm).await;
        let update = Update {
            at: Timestamp::now(),
            datum: Datum::Domains(read.map_err(SafeText::of)),
        };
        if messages.send(Msg::Fleet(update)).await.is_err() {
            return;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn query_swarm(fleet: &FleetContext) -> Result<Swarm, OpsError> {
    let manager = fleet.nodes.find_manager().await?;
    Ok(manager.docker.query_swarm().await?)
}
