//! JSON text: read onto a tape, written in canonical form, and taken apart into members. Knows nothing of records.

pub mod canonical;
pub mod members;
pub mod tape;
