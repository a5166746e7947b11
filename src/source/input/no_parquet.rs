//! Refuses Parquet, in builds without it.

use std::fs::File;
use std::io;

use super::ParquetRows;
use super::error::InputError;

/// Says that this build cannot read Parquet.
pub(super) fn open(name: &str, _file: impl FnOnce() -> io::Result<File>) -> Result<ParquetRows, InputError> {
    Err(InputError::OtherKind {
        name: name.to_owned(),
        what: "Parquet, and this dfwfd was built without it".into(),
        hint: "build it with `cargo install --path . --features parquet`, or export the records as JSONL or CSV",
    })
}
