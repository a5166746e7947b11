//! The place of a line, by which it is read again and named in messages.

/// Where a line stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// Number of the input, in the order of reading.
    pub(crate) input: u32,
    /// Bytes before the line.
    pub(crate) offset: u64,
    /// Bytes of the line, without its end.
    pub(crate) length: u32,
    /// Number of the line, from 1.
    pub(crate) line: u64,
}
