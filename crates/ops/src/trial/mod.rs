//! What `matou catalogue try` looks at beside the jobs of an application: words that have to survive,
//! programs that have to be there, and the log-in.

mod login;
mod marks;
mod programs;

pub use login::{LoginTrial, try_login};
pub use marks::{TrialMark, find_lost_marks, write_trial_marks};
pub use programs::find_missing_programs;
