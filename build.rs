//! Tells `matou --version` the commit that it is built from: from git where this folder is the top of a
//! checkout, or from `MATOU_COMMIT` and `SOURCE_DATE_EPOCH` where a package is built of a source archive.
//! Without either, only the version is told. Nothing of the machine or of the time of the build gets in.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the commit, and its time in seconds since 1970, of a build outside a checkout.
const COMMIT_VARIABLE: &str = "MATOU_COMMIT";
const TIME_VARIABLE: &str = "SOURCE_DATE_EPOCH";

fn main() {
    for variable in [COMMIT_VARIABLE, TIME_VARIABLE] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (commit, time) = match given(COMMIT_VARIABLE) {
        Some(commit) => (Some(commit), given(TIME_VARIABLE)),
        None => {
            let top = PathBuf::from(given("CARGO_MANIFEST_DIR").unwrap_or_default());
            match read_git_commit(&top) {
                Some((commit, time)) => (Some(commit), Some(time)),
                None => (None, given(TIME_VARIABLE)),
            }
        }
    };
    let is_plain = |commit: &String| {
        commit
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    println!(
        "cargo::rustc-env=MATOU_BUILD_COMMIT={}",
        commit.filter(is_plain).unwrap_or_default()
    );
    let is_number = |time: &String| time.parse::<i64>().is_ok();
    println!(
        "cargo::rustc-env=MATOU_BUILD_TIME={}",
        time.filter(is_number).unwrap_or_default()
    );
}

/// Returns the commit, with `-modified` behind it when tracked files differ from it, and its time.
fn read_git_commit(top: &Path) -> Option<(String, String)> {
    let git = |args: &[&str]| {
        let ran = Command::new("git").current_dir(top).args(args).output();
        let ran = ran.ok().filter(|ran| ran.status.success())?;
        Some(String::from_utf8(ran.stdout).ok()?.trim().to_owned())
    };
    // A source archive that is unpacked in another project's checkout is not of its commit.
    let found = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    if found.canonicalize().ok()? != top.canonicalize().ok()? {
        return None;
    }
    let mut parts = git(&["show", "--no-patch", "--format=%H %ct", "HEAD"])?;
    let time = parts.split_off(parts.find(' ')?).trim().to_owned();
    // A worktree's HEAD is in a folder of its own, its branch in that of all.
    let mut watched = vec!["HEAD".to_owned(), "packed-refs".to_owned()];
    watched.extend(git(&["symbolic-ref", "--quiet", "HEAD"]));
    for name in watched {
        let path = top.join(git(&["rev-parse", "--git-path", &name])?);
        // A file that is not there would have it run every time.
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    // What the program is made of: where it changes, all is built again anyhow.
    for part in [
        "build.rs",
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "crates",
        "stacks",
    ] {
        println!("cargo::rerun-if-changed={part}");
    }
    let changed = git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "crates",
        "stacks",
    ])?;
    let mark = if changed.is_empty() { "" } else { "-modified" };
    Some((format!("{parts}{mark}"), time))
}
