//! What is wrong with a configuration: every problem, with its place, key path, what was found and what is allowed.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration; never empty. Ends with exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    problems: Vec<Problem>,
}

impl Problems {
    /// The problems in the order of the file, then those of variables and flags.
    pub(crate) fn new(mut problems: Vec<Problem>) -> Problems {
        problems.sort_by_key(|problem| problem.place.rank());
        Problems { problems }
    }

    /// Each problem; the display of one is a line of its own.
    pub fn each(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] => write!(f, "the configuration has a problem\n  {one}"),
            many => {
                write!(f, "the configuration has {} problems", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// The key path, such as `nims.0.tag`; empty when it is about no key.
    pub key: String,
    /// What is wrong.
    pub what: Wrong,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, on a line where known.
    File(PathBuf, Option<usize>),
    /// In `--set`.
    Set,
    /// In an environment variable.
    Variable(String),
    /// In another flag.
    Flag(&'static str),
    /// In no file, because there is none.
    NoFile,
}

impl Place {
    fn rank(&self) -> (u8, usize) {
        match self {
            Place::NoFile => (0, 0),
            Place::File(_, line) => (1, line.unwrap_or(usize::MAX)),
            Place::Variable(_) => (2, 0),
            Place::Set => (3, 0),
            Place::Flag(_) => (4, 0),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// There is no such key.
    UnknownKey {
        /// The key that was probably meant, in full.
        nearest: Option<String>,
        /// The keys of that section.
        allowed: String,
    },
    /// The key is written more than once.
    Twice {
        /// The line of the one before.
        first: Option<usize>,
    },
    /// The value is of the wrong type or impossible.
    Value {
        /// What was found.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// The key is needed and not there.
    Missing {
        /// What to write.
        allowed: String,
    },
    /// Anything else, in a sentence.
    Other(String),
}

impl Problem {
    /// A value that is not allowed.
    pub(crate) fn value(place: Place, key: &str, found: impl Into<String>, allowed: impl Into<String>) -> Problem {
        Problem { place, key: key.to_owned(), what: Wrong::Value { found: found.into(), allowed: allowed.into() } }
    }

    /// A key that is needed.
    pub(crate) fn missing(place: Place, key: &str, allowed: impl Into<String>) -> Problem {
        Problem { place, key: key.to_owned(), what: Wrong::Missing { allowed: allowed.into() } }
    }

    /// A sentence.
    pub(crate) fn other(place: Place, key: &str, sentence: impl Into<String>) -> Problem {
        Problem { place, key: key.to_owned(), what: Wrong::Other(sentence.into()) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(file, Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            Place::File(file, None) => write!(f, "{}: ", file.display())?,
            Place::Set => f.write_str("--set: ")?,
            Place::Variable(name) => write!(f, "environment variable {name}: ")?,
            Place::Flag(name) => write!(f, "{name}: ")?,
            Place::NoFile => f.write_str("no flywheel.yaml here or above: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        match &self.what {
            Wrong::UnknownKey { nearest: Some(nearest), allowed } => {
                write!(f, "unknown key; did you mean {nearest}? allowed here: {allowed}")
            }
            Wrong::UnknownKey { nearest: None, allowed } => write!(f, "unknown key; allowed here: {allowed}"),
            Wrong::Twice { first: Some(first) } => write!(f, "written twice, first on line {first}; keep one"),
            Wrong::Twice { first: None } => f.write_str("written twice; keep one"),
            Wrong::Value { found, allowed } => write!(f, "found {found}; allowed: {allowed}"),
            Wrong::Missing { allowed } => write!(f, "missing; needed: {allowed}"),
            Wrong::Other(sentence) => f.write_str(sentence),
        }
    }
}
