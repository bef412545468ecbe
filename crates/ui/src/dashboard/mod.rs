//! The dashboard: all that matters of a fleet on one screen. `board` is what is on it, `gather` makes it of what
//! the console knows, `apps`, `lately` and `nights` parts of it; `draw` draws it, `keys` says what keys do.

mod apps;
mod board;
mod draw;
mod gather;
mod keys;
mod lately;
mod nights;

pub(super) use board::{Board, DrawnSection, Happening, Visibility};
pub(super) use draw::draw_dashboard;
pub(super) use gather::gather_board;
pub(super) use keys::{click_row, is_back_at_arrival, reopen, run_on_board, turn_wheel};
