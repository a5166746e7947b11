//! The problems of a configuration, each with its location, its key path, what was found and what is allowed.

use std::fmt;
use std::path::PathBuf;

/// All problems of a configuration; never empty. They end a command with exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Problems {
    problems: Vec<Problem>,
}

impl Problems {
    /// Sorts the problems: first the file's, by line, then the problems of variables and flags.
    pub(crate) fn new(mut problems: Vec<Problem>) -> Problems {
        problems.sort_by_key(|problem| problem.location.rank());
        Problems { problems }
    }

    /// Returns what to type next, if that is clear.
    pub(crate) fn hint(&self) -> Option<String> {
        let no_file = self.problems.iter().any(|problem| problem.location == Location::NoFile);
        no_file.then(|| "`dfwfd init --sample` writes a flywheel.yaml and sample logs to start from".to_owned())
    }

    /// Returns where the first problem is mended.
    pub(crate) fn remedy(&self) -> &'static str {
        match self.problems.first().map(|problem| (&problem.location, &problem.kind)) {
            Some((Location::Set | Location::Flag(_), _)) => "correct the command line",
            Some((_, ProblemKind::Unset(_))) => {
                "set the variable, here or in a .env file beside the configuration file"
            }
            Some((Location::Variable(_), _)) => "correct the variable",
            _ => "correct the file",
        }
    }

    fn subject(&self) -> &'static str {
        let is_flag = |problem: &Problem| matches!(problem.location, Location::Flag(_) | Location::Set);
        if self.problems.iter().all(is_flag) { "command line" } else { "configuration" }
    }

    /// Returns every problem. Each is displayed in one line.
    #[cfg(test)]
    pub(crate) fn each(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] if one.location == Location::NoFile => one.fmt(f),
            [one] => write!(f, "cannot use the {}: it has a problem\n  {one}", self.subject()),
            many => {
                write!(f, "cannot use the {}: it has {} problems", self.subject(), many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

/// One problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub location: Location,
    /// The key path, such as `nims.0.tag`. Empty when the problem concerns no key.
    pub key: String,
    pub kind: ProblemKind,
}

/// The location of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// In a file, on a line where known.
    File(PathBuf, Option<usize>),
    /// In `--set`.
    Set,
    /// In an environment variable.
    Variable(String),
    /// In another flag.
    Flag(&'static str),
    /// Nowhere, because there is no configuration file.
    NoFile,
}

impl Location {
    fn rank(&self) -> (u8, usize) {
        match self {
            Location::NoFile => (0, 0),
            Location::File(_, line) => (1, line.unwrap_or(usize::MAX)),
            Location::Variable(_) => (2, 0),
            Location::Set => (3, 0),
            Location::Flag(_) => (4, 0),
        }
    }
}

/// The kind of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    UnknownKey {
        /// The full path of the key that the user probably meant.
        nearest: Option<String>,
        /// The keys of that section.
        allowed: String,
    },
    /// The key is written more than once.
    Repeated {
        first_line: Option<usize>,
    },
    /// The value has the wrong type or is impossible.
    Value(Mismatch),
    Missing {
        needed: String,
    },
    /// The value needs a variable that is not set, as a sentence says.
    Unset(String),
    /// A sentence about anything else.
    Other(String),
}

/// A value that its key does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub found: String,
    pub allowed: String,
}

impl Problem {
    /// Reports a value that is not allowed.
    pub(crate) fn value(
        location: Location,
        key: &str,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Problem {
        let mismatch = Mismatch { found: found.into(), allowed: allowed.into() };
        Problem { location, key: key.to_owned(), kind: ProblemKind::Value(mismatch) }
    }

    /// Reports a required key that is missing.
    pub(crate) fn missing(location: Location, key: &str, needed: impl Into<String>) -> Problem {
        Problem { location, key: key.to_owned(), kind: ProblemKind::Missing { needed: needed.into() } }
    }

    /// Reports a value whose variable is not set.
    pub(crate) fn unset(location: Location, key: &str, sentence: impl Into<String>) -> Problem {
        Problem { location, key: key.to_owned(), kind: ProblemKind::Unset(sentence.into()) }
    }

    /// Reports a problem in a sentence of its own.
    pub(crate) fn other(location: Location, key: &str, sentence: impl Into<String>) -> Problem {
        Problem { location, key: key.to_owned(), kind: ProblemKind::Other(sentence.into()) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::File(file, Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            Location::File(file, None) => write!(f, "{}: ", file.display())?,
            Location::Set => f.write_str("--set: ")?,
            Location::Variable(name) => write!(f, "environment variable {name}: ")?,
            Location::Flag(name) => write!(f, "{name}: ")?,
            Location::NoFile => f.write_str("there is no flywheel.yaml here or in a folder above: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        match &self.kind {
            ProblemKind::UnknownKey { nearest: Some(nearest), allowed } => {
                write!(f, "unknown key; did you mean {nearest}? allowed here: {allowed}")
            }
            ProblemKind::UnknownKey { nearest: None, allowed } => write!(f, "unknown key; allowed here: {allowed}"),
            ProblemKind::Repeated { first_line: Some(line) } => {
                write!(f, "written twice, first on line {line}; keep one")
            }
            ProblemKind::Repeated { first_line: None } => f.write_str("written twice; keep one"),
            ProblemKind::Value(Mismatch { found, allowed }) => write!(f, "found {found}; allowed: {allowed}"),
            ProblemKind::Missing { needed } => write!(f, "missing; needed: {needed}"),
            ProblemKind::Unset(sentence) | ProblemKind::Other(sentence) => f.write_str(sentence),
        }
    }
}
