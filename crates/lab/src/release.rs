//! The Docker engines that the nodes of a practice fleet can have.

use color_eyre::eyre::{Context as _, Result, bail};
use matou_i18n::tr;

use matou_base::text::InvalidInput;

/// Names the engine of practice fleets that are made without `--engine`.
const VARIABLE: &str = "MATOU_LAB_ENGINE";

/// The packages that come from the newer suite; all others are Debian 12's.
const NEWER_PACKAGES: &str = "docker.io docker-cli containerd tini-static restic";

/// A line of Docker engines, each with the restic of the same Debian suite. The nodes are Debian 12 with any
/// of them: that boots on a host of cgroup version 1 too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum EngineRelease {
    /// Debian 12's, the oldest that matou works with, with restic 0.14
    #[value(name = "20.10")]
    V20,
    /// Debian 13's, with restic 0.18
    #[value(name = "26.1")]
    V26,
    /// The newest: Debian unstable's, with restic 0.19
    #[default]
    #[value(name = "28.5")]
    V28,
}

/// A newer suite of which a node's packages come.
pub(super) struct NewerSuite {
    /// Code name, as "trixie".
    pub suite: &'static str,
    /// With spaces.
    pub packages: &'static str,
}

impl EngineRelease {
    /// The one that `MATOU_LAB_ENGINE` names; the newest where it is not set.
    ///
    /// # Errors
    /// When it names none.
    pub(super) fn from_environment() -> Result<Self> {
        match std::env::var(VARIABLE) {
            Ok(name) if !name.is_empty() => Self::parse(&name)
                .wrap_err_with(|| tr!("{VARIABLE} names the engine of practice fleets")),
            _ => Ok(Self::default()),
        }
    }

    /// Reads the name of a line, as "28.5".
    ///
    /// # Errors
    /// When there is none of that name.
    pub(super) fn parse(name: &str) -> Result<Self> {
        match <Self as clap::ValueEnum>::from_str(name.trim(), false) {
            Ok(release) => Ok(release),
            Err(_) => bail!(InvalidInput::new(tr!(
                "there is no engine {name:?} for a practice fleet: use 20.10, 26.1 or 28.5"
            ))),
        }
    }

    /// The first two numbers of its version.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V20 => "20.10",
            Self::V26 => "26.1",
            Self::V28 => "28.5",
        }
    }

    /// Where its packages come from, when that is not Debian 12.
    pub(super) fn newer_suite(self) -> Option<NewerSuite> {
        let suite = match self {
            Self::V20 => return None,
            Self::V26 => "trixie",
            Self::V28 => "sid",
        };
        Some(NewerSuite {
            suite,
            packages: NEWER_PACKAGES,
        })
    }

    /// Says so when an engine is of another line: unstable moves on, and a fleet keeps the engine that it
    /// was made with.
    pub(super) fn describe_other(self, version: &str) -> Option<String> {
        let version = version.trim();
        let rest = version.strip_prefix(self.name());
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '+', '~', '-'])) {
            return None;
        }
        Some(tr!(
            "the nodes have Docker {}, not {}: Debian has moved on since that was written down",
            matou_base::text::clean_line(version),
            self.name()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_of_another_line_is_said() {
        for (release, version, is_said) in [
            (EngineRelease::V20, "20.10.24+dfsg1", false),
            (EngineRelease::V28, "28.5.2+dfsg4\n", false),
            (EngineRelease::V28, "28.5", false),
            (EngineRelease::V28, "28.50.1", true),
            (EngineRelease::V28, "29.0.1", true),
            (EngineRelease::V26, "20.10.24+dfsg1", true),
        ] {
            let said = release.describe_other(version);
            assert_eq!(said.is_some(), is_said, "{version}");
        }
    }

    #[test]
    fn names_are_those_of_the_option() {
        for release in <EngineRelease as clap::ValueEnum>::value_variants() {
            let named = clap::ValueEnum::to_possible_value(release).expect("it has a name");
            assert_eq!(named.get_name(), release.name());
            assert_eq!(
                EngineRelease::parse(release.name()).expect("it is known"),
                *release
            );
        }
        let refused = EngineRelease::parse("27").expect_err("there is none");
        assert!(refused.to_string().contains("use 20.10, 26.1 or 28.5"));
    }
}
