//! JSON text: read onto a tape, written in canonical form, and taken apart into members. Knows nothing of records.

pub(crate) mod canonical;
pub(crate) mod edit;
pub(crate) mod members;
pub(crate) mod tape;
