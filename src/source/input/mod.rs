//! Inputs: files, streams and what is packed in them.

pub mod digest;
pub mod packed;
pub mod reshaped;
