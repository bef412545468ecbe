//! Names of locks, and of the files that stand for them.

use std::fmt::Write as _;

/// What is locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockName {
    /// An application of the fleet.
    App(String),
    /// The server itself.
    Host,
}

impl LockName {
    /// Its file in the folder of locks: a stack's label may hold anything, so all but plain
    /// characters are written as their bytes.
    pub(super) fn file_name(&self) -> String {
        match self {
            Self::Host => "host".into(),
            Self::App(app) => {
                let mut file = String::from("app-");
                for b in app.bytes() {
                    match b {
                        b'-' | b'_' => file.push(char::from(b)),
                        b if b.is_ascii_alphanumeric() => file.push(char::from(b)),
                        b => {
                            let _ = write!(file, "%{b:02x}");
                        }
                    }
                }
                // The longest name of a file is 255 bytes.
                file.truncate(200);
                file
            }
        }
    }

    /// The name that a file stands for. Escaped characters stay escaped: it is only shown.
    pub(super) fn from_file_name(file: &str) -> Self {
        match file.strip_prefix("app-") {
            Some(app) => Self::App(app.to_owned()),
            None => Self::Host,
        }
    }

    /// For people; `host` is the server's name.
    pub(super) fn display_name(&self, host: &str) -> String {
        match self {
            Self::App(app) => app.clone(),
            Self::Host => host.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_plain_file() {
        let file = |app: &str| LockName::App(app.into()).file_name();
        assert_eq!(file("shop-2"), "app-shop-2");
        assert_eq!(file("../my app"), "app-%2e%2e%2fmy%20app");
        assert_ne!(file("a b"), file("a_b"));
        assert_eq!(file(&"é".repeat(500)).len(), 200);
        assert_eq!(
            LockName::from_file_name("app-shop"),
            LockName::App("shop".into())
        );
    }
}
