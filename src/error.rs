//! Exit codes, and what an error says to its reader beyond its chain: which code it ends with and what to type next.

use std::fmt;

/// The exit codes of product section 7, in the order in which the stronger wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed for a reason that has no code of its own.
    Failed,
    /// Usage or configuration.
    Usage,
    /// A service is unreachable or refuses.
    Service,
    /// Finished, some candidates failed.
    Partial,
    /// A gate was missed.
    Gate,
    /// The data cannot be used.
    Data,
    /// Another run holds the lock.
    Locked,
    /// Cancelled.
    Cancelled,
}

impl Exit {
    /// The number the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Service => 3,
            Exit::Partial => 4,
            Exit::Gate => 5,
            Exit::Data => 6,
            Exit::Locked => 75,
            Exit::Cancelled => 130,
        }
    }
}

/// An error that knows its exit code and what to type next. Put it at the bottom of a chain and add context above it.
#[derive(Debug)]
pub struct Fault {
    /// The code that the process ends with.
    pub exit: Exit,
    /// What is wrong.
    pub message: String,
    /// What to type next.
    pub hint: Option<String>,
}

impl Fault {
    /// An error with this code and message, without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Fault {
        Fault { exit, message: message.into(), hint: None }
    }

    /// The same with something to type next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
