//! Who sits at this machine.

/// Who this is, for others to read: `ana@laptop`.
pub fn operator_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let user = user.ok().flatten();
    let user = user.map_or_else(|| "somebody".into(), |u| u.name);
    let here = nix::unistd::gethostname().unwrap_or_default();
    format!("{user}@{}", here.to_string_lossy())
}
