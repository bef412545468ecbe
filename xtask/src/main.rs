//! Tasks of the repository itself: `cargo xtask reference` makes docs/reference.md, `cargo xtask catalogue`
//! docs/catalogue.md, `cargo xtask man FOLDER` the pages of the manual, `cargo xtask counts` prints figures about
//! the code, `cargo xtask translate` brings the catalogues of translations up to date. That all are as they should be,
//! tests/docs.rs checks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use color_eyre::eyre::{Result, WrapErr};
use matou::outln;
use xtask::{catalogue, counts::Counts, man, reference, translate::Translations};

/// Tasks of the repository itself.
#[derive(Parser)]
enum Task {
    /// Make docs/reference.md
    Reference,
    /// Make docs/catalogue.md
    Catalogue,
    /// Make the pages of the manual
    Man {
        /// Folder that they are written into
        folder: PathBuf,
    },
    /// Print figures about the code
    Counts,
    /// Add new messages to the catalogues of translations, and print what has none
    Translate,
}

fn main() -> Result<ExitCode> {
    color_eyre::install()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match Task::parse() {
        Task::Reference => write_page(&root, "docs/reference.md", &reference::render_page())?,
        Task::Catalogue => write_page(&root, "docs/catalogue.md", &catalogue::render_page()?)?,
        Task::Man { folder } => man::write_pages(&folder)?,
        Task::Counts => Counts::read(&root)?.print()?,
        Task::Translate => {
            for translations in Translations::read_all(&root)? {
                translations.write()?;
            }
            for translations in Translations::read_all(&root)? {
                for problem in translations.problems() {
                    outln!("{problem}")?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a page of the docs, by its path below `root`.
fn write_page(root: &Path, path: &str, text: &str) -> Result<()> {
    let page = root.join(path);
    std::fs::write(&page, text).wrap_err_with(|| format!("{} can't be written", page.display()))
}
