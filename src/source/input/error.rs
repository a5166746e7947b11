//! Why an input cannot be read, or not to its end.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use super::damage::Damaged;

/// Why an input cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The input cannot be opened.
    #[error("cannot open {name}")]
    Open {
        /// The input as it was named.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// A folder was named instead of a file.
    #[error("cannot read {name}: it is a folder")]
    Folder {
        /// The folder as it was named.
        name: String,
    },
    /// The input is text in a form that is not supported, such as another compression.
    #[error("cannot read {name}: it is {what}, which is not supported")]
    Foreign {
        /// The input as it was named.
        name: String,
        /// The form.
        what: &'static str,
        /// The command that unpacks it to standard output.
        unpack: &'static str,
    },
    /// The input is a file of another kind.
    #[error("cannot read {name}: it is {what}")]
    OtherKind {
        /// The input as it was named.
        name: String,
        /// The kind of file, and why it is not read.
        what: Cow<'static, str>,
        /// The next step.
        hint: &'static str,
    },
    /// The compressed data ends too early or was changed.
    #[error("cannot read {name} to its end: {why}")]
    Damaged {
        /// The input as it was named.
        name: String,
        /// The fault in the data.
        why: String,
    },
    /// The input cannot be read to its end.
    #[error("cannot read {name} to its end")]
    Read {
        /// The input as it was named.
        name: String,
        /// The cause.
        source: io::Error,
    },
}

impl InputError {
    /// Returns what an error of a reader says about its input.
    pub(crate) fn of_read(name: &str, source: io::Error) -> InputError {
        let name = name.to_owned();
        match Damaged::of(&source) {
            Some(why) => InputError::Damaged { name, why: why.to_string() },
            None => InputError::Read { name, source },
        }
    }

    /// Returns whether the command line names something that is no input.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            InputError::Open { source, .. } => source.kind() == io::ErrorKind::NotFound,
            InputError::Folder { .. } => true,
            InputError::Foreign { .. }
            | InputError::OtherKind { .. }
            | InputError::Damaged { .. }
            | InputError::Read { .. } => false,
        }
    }

    /// Returns true if the content of the input is to blame.
    pub(crate) fn is_data(&self) -> bool {
        matches!(self, InputError::Foreign { .. } | InputError::OtherKind { .. } | InputError::Damaged { .. })
    }

    /// Returns what to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            InputError::Folder { name } => Some(format!("name the files in it, such as {name}/*.jsonl")),
            InputError::Foreign { name, unpack, .. } => {
                let name = if name == "<stdin>" { "-" } else { name };
                Some(format!("unpack it on the way: {unpack} {name} | dfwfd load - (for split and run: --logs -)"))
            }
            InputError::OtherKind { hint, .. } => Some((*hint).to_owned()),
            InputError::Damaged { .. } => Some(
                "copy the file again; `dfwfd load` keeps the lines before the damage and adds the others later"
                    .to_owned(),
            ),
            InputError::Open { name, .. } if self.is_usage() && name.contains(['*', '?', '[']) => Some(
                "leave out the quotes around the pattern, so that the shell puts the names in its place".to_owned(),
            ),
            InputError::Open { name, .. } if self.is_usage() => {
                let folder = Path::new(name).parent().filter(|folder| !folder.as_os_str().is_empty());
                Some(format!("ls {} lists what is there", folder.unwrap_or(Path::new(".")).display()))
            }
            InputError::Open { .. } | InputError::Read { .. } => None,
        }
    }
}
