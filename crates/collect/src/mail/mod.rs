//! Tries the mail server of `[mail]`: sends one mail through it, asks DNS about the sender's domain, and asks each
//! node whether it can reach the server.

mod dkim;
mod dmarc;
mod dns;
mod reach;
mod reply;
mod smtp;
mod spf;

pub use dkim::{DkimKey, DkimKeyState, USUAL_SELECTORS};
pub use dmarc::{DmarcFinding, DmarcPolicy};
pub use dns::{MxFinding, SenderDomain, read_sender_domain};
pub use reach::{NodeMailReach, read_mail_reach};
pub use reply::SmtpReply;
pub use smtp::{MailAddress, OutgoingMail, SmtpError, SmtpStage, send_mail};
pub use spf::{SpfEnd, SpfFinding};
