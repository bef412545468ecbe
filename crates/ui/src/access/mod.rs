//! The access log of an application: its requests within a bound, and what is seen of them.

mod buffer;
mod draw;
mod view;

pub(crate) use view::AccessView;
