//! The outcome of a delete.

/// The outcome of a delete that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The thing was there and is gone, or going.
    Removed,
    /// The thing was not there.
    Absent,
}
