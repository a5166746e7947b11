//! Why a file cannot be loaded, or not to its end.

use std::io;

use crate::data::forms::table::TableError;
use crate::source::input::packed::Damaged;

/// Why a file cannot be loaded, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that is compressed in a way that is not read.
    #[error("{file} is compressed in a way that is not read here")]
    Compressed {
        /// The file as it was named.
        file: String,
        /// The command that writes what is in it to standard output.
        unpack: &'static str,
    },
    /// A compressed file that ends too early or has been changed. What stands before that has been loaded.
    #[error("reading {file}: {why}")]
    Damaged {
        /// The file as it was named.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file that cannot be read to its end. What stands before that has been loaded.
    #[error("reading {file}")]
    Read {
        /// The file as it was named.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A table whose columns or prompts are not clear.
    #[error("reading the table {file}")]
    Table {
        /// The file as it was named.
        file: String,
        /// What is not clear.
        source: TableError,
    },
    /// A file that cannot be opened.
    #[error("opening {file}")]
    Open {
        /// The file as it was named.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A folder where a file should be.
    #[error("{file} is a folder; name the files in it")]
    Folder {
        /// The folder as it was named.
        file: String,
    },
}

/// Why a file cannot be read to its end.
pub(super) fn unread(file: &str, source: io::Error) -> LoadError {
    let file = file.to_owned();
    match Damaged::of(&source) {
        Some(why) => LoadError::Damaged { file, why: why.to_string() },
        None => LoadError::Read { file, source },
    }
}
