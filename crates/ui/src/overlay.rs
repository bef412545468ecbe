//! What an overlay is: something over the panes that gets the keys.
//!
//! This file and `state` need each other: the state owns its overlays, and an overlay acts on the
//! state.

use crossterm::event::KeyEvent;
use ratatui::Frame;
use ratatui::layout::Rect;

use super::call::Choice;
use super::layout::ScrollLayout;
use super::msg::{Effect, Ticket};
use super::state::App;
use matou_base::text::SafeText;
use matou_job::{PastJob, Plan};
use matou_model::{LogRecord, NodeBans, NodeIntrusions};
use matou_ops::{FoundVersions, Request};

/// Something over the panes. The topmost gets the keys.
pub(super) trait Overlay {
    /// Takes a key.
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply;

    /// Draws it. Returns what is visible, of those that scroll.
    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout;

    /// Takes what was visible of it.
    fn take_layout(&mut self, _: ScrollLayout) {}

    /// Takes pasted text, where text is typed.
    fn paste(&mut self, _: &App, _text: &str) {}

    /// Whether keys are typed into it now. Otherwise no letter with Ctrl is the letter alone.
    fn takes_text(&self) -> bool {
        false
    }

    /// Whether the key of the help opens it above this one.
    fn opens_help(&self) -> bool {
        !self.takes_text()
    }

    /// Returns the ticket of what it asked for; `None` when it asks for nothing.
    fn ticket(&self) -> Option<Ticket> {
        None
    }

    /// Takes the answer to its ticket. A ticket has one question: other answers do not come.
    fn take_answer(&mut self, _: OverlayAnswer) {}

    /// Returns what it asks for next, after an answer.
    fn next_question(&mut self) -> Option<Effect> {
        None
    }

    /// Whether it shows the plan of this request.
    fn shows_plan_of(&self, _: &Request) -> bool {
        false
    }

    /// Whether what is chosen in it leads to a plan, with which it closes when the job starts.
    fn leads_to_plan(&self) -> bool {
        false
    }

    /// Whether it asks to confirm something, which no click does.
    fn asks(&self) -> bool {
        false
    }

    /// Whether the console is to be left as soon as no job runs.
    fn waits_to_leave(&self) -> bool {
        false
    }
}

/// The answer to what an overlay asked for by an effect.
pub(super) enum OverlayAnswer {
    Plan(Result<Plan, SafeText>),
    Versions(Result<FoundVersions, SafeText>),
    Bans {
        found: Vec<NodeBans>,
        /// The selected node, whose bans come first.
        near: Option<String>,
    },
    Intrusions {
        found: Vec<NodeIntrusions>,
        bans: Vec<NodeBans>,
    },
    Records(Result<Vec<LogRecord>, SafeText>),
    PastJobs(Result<Vec<PastJob>, SafeText>),
}

/// What an overlay returns for a key.
#[derive(Default)]
pub(super) struct OverlayReply {
    /// The overlay is to be closed.
    pub close: bool,
    /// An overlay to open: above this one, or in its place when it closes.
    pub open: Option<Box<dyn Overlay>>,
    pub effects: Vec<Effect>,
    /// What is carried out after the overlay has closed.
    pub choice: Option<Choice>,
}

impl OverlayReply {
    pub(super) fn stay() -> Self {
        Self::default()
    }

    pub(super) fn close() -> Self {
        Self {
            close: true,
            ..Self::default()
        }
    }

    pub(super) fn replace(overlay: impl Overlay + 'static) -> Self {
        Self {
            close: true,
            open: Some(Box::new(overlay)),
            ..Self::default()
        }
    }

    pub(super) fn with_effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}
