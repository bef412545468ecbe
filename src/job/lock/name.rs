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
    pub(super) fn file(&self) -> String {
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

    /// The other way round; good enough to be shown.
    pub(super) fn read(file: &str) -> Self {
        match file.strip_prefix("app-") {
            Some(app) => Self::App(app.to_owned()),
            None => Self::Host,
        }
    }

    /// For people; `host` is the server's name.
    pub(super) fn words(&self, host: &str) -> String {
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
        let file = |app: &str| LockName::App(app.into()).file();
        assert_eq!(file("shop-2"), "app-shop-2");
        assert_eq!(file("../my app"), "app-%2e%2e%2fmy%20app");
        assert_ne!(file("a b"), file("a_b"));
        assert_eq!(file(&"é".repeat(500)).len(), 200);
        assert_eq!(LockName::read("app-shop"), LockName::App("shop".into()));
    }
}
