//! The console: [`update()`] takes messages into the [`App`], [`view()`] draws it. Both are pure; only
//! `terminal` touches the outside.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

matou_i18n::catalogue!();

mod access;
mod actions;
mod browser;
mod call;
mod commands;
mod cut;
mod dashboard;
mod failures;
#[doc(hidden)]
pub mod fixture;
mod follow;
mod jobs;
pub mod keymap;
mod layout;
pub mod linear;
mod log;
mod marks;
mod mouse;
pub mod msg;
mod overlay;
mod overlays;
mod pane;
mod panes;
mod read_only;
mod refresh;
mod state;
pub mod terminal;
mod text_input;
mod theme;
mod update;
mod view;
mod words;

pub use call::CommandCall;
pub use keymap::KeyMap;
pub use layout::{Layout, LogLayout};
pub use log::{LogBuffer, LogStyle, LogView};
pub use msg::{Effect, Msg};
pub use pane::Pane;
pub use state::{App, AppInit};
pub use theme::Theme;
pub use update::update;
pub use view::view;
