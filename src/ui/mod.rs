//! The only module that writes to a stream.
