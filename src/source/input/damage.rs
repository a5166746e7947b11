//! Says that an input ends too early or was changed.

use std::io;

/// Says that a stream ends too early or was changed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damaged(String);

impl Damaged {
    /// Returns an error of a reader that finds damage.
    pub(super) fn error(what: impl Into<String>) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Damaged(what.into()))
    }

    /// Returns the damage that an error of a reader reports, unless it is an error of the system.
    pub(crate) fn of(error: &io::Error) -> Option<&Damaged> {
        error.get_ref()?.downcast_ref()
    }
}
