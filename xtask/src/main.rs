//! Tasks of the repository itself: `cargo xtask reference` makes docs/reference.md, `cargo xtask counts`
//! prints figures about the code. That both are as they should be, tests/docs.rs checks.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use color_eyre::eyre::{Result, WrapErr};
use xtask::{counts::Counts, reference};

/// Tasks of the repository itself.
#[derive(Parser)]
enum Task {
    /// Make docs/reference.md
    Reference,
    /// Print figures about the code
    Counts,
}

fn main() -> Result<ExitCode> {
    color_eyre::install()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = root.join("docs/reference.md");
    match Task::parse() {
        Task::Reference => std::fs::write(&page, reference::render_page())
            .wrap_err_with(|| format!("{} can't be written", page.display()))?,
        Task::Counts => Counts::read(&root)?.print()?,
    }
    Ok(ExitCode::SUCCESS)
}
