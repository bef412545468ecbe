//! A network of the fleet's own: a bridge of this machine with a tap for each virtual machine.

use matou_i18n::tr;
use std::path::Path;

use color_eyre::eyre::{Result, eyre};
use sha2::{Digest, Sha256};

use matou_host::{Command, Host, shell_script};

/// Remembers the bridge's name, for `down`.
const FILE: &str = "bridge";

/// Makes the bridge with this machine's address. Docker's engine lets nothing pass between ports of
/// a bridge that is not its own, where the kernel shows it bridged packets.
const UP: &str = shell_script(include_str!("../../scripts/make_bridge.sh"));

const TAP: &str = shell_script(include_str!("../../scripts/make_tap.sh"));

const DOWN: &str = shell_script(include_str!("../../scripts/remove_bridge.sh"));

pub(super) struct VmNetwork {
    bridge: String,
    /// First three numbers of its addresses.
    prefix: String,
}

/// A device on the bridge.
pub(super) struct TapDevice {
    pub name: String,
    pub mac: String,
}

impl VmNetwork {
    /// Makes the network if it is missing. The same name gives the same addresses.
    pub(super) async fn create(here: &Host, lab: &str, folder: &Path) -> Result<Self> {
        let hash = Sha256::digest(lab.as_bytes());
        let network = Self {
            // Names of interfaces are short.
            bridge: format!("mtb{:02x}{:02x}", hash[0], hash[1]),
            prefix: format!("10.214.{}", hash[0]),
        };
        std::fs::write(folder.join(FILE), &network.bridge)?;
        let up = Command::sh(UP)
            .arg(&network.bridge)
            .arg(format!("{}.1/24", network.prefix))
            .label(tr!("make the network"));
        here.run_ok(&up).await?;
        Ok(network)
    }

    /// The address of the machine with that number, from 0.
    pub(super) fn machine_address(&self, index: usize) -> String {
        format!("{}.{}", self.prefix, 11 + index)
    }

    /// The device of the machine with that number.
    pub(super) async fn create_tap(&self, here: &Host, index: usize) -> Result<TapDevice> {
        let hash = self.bridge.trim_start_matches("mtb").to_owned();
        let name = format!("mtt{hash}n{}", index + 1);
        let make = Command::sh(TAP)
            .args([&name, &self.bridge])
            .label(tr!("make a network device"));
        here.run_ok(&make).await?;
        let (a, b) = hash
            .split_at_checked(2)
            .ok_or_else(|| eyre!("{}", tr!("the bridge has a strange name")))?;
        Ok(TapDevice {
            name,
            mac: format!("52:54:00:{a}:{b}:{:02x}", index + 1),
        })
    }

    /// Removes the network whose name stands in the folder.
    pub(super) async fn remove(here: &Host, folder: &Path) -> Result<()> {
        let Ok(bridge) = std::fs::read_to_string(folder.join(FILE)) else {
            return Ok(());
        };
        let down = Command::sh(DOWN)
            .arg(bridge)
            .label(tr!("remove the network"));
        here.run_ok(&down).await?;
        Ok(())
    }
}
