//! Looks at the first lines of a log for personal data, so that nobody copies it unawares.

use std::path::Path;

use super::input::{Input, InputError};
use super::lines::Lines;
use crate::data::options::RedactRules;
use crate::data::redact::Redactor;

/// Lines that are looked at.
const LINES: usize = 200;
/// Bytes of the longest line that is looked at.
const LONGEST: usize = 1 << 16;
/// Kinds that are rarely found by mistake.
const KINDS: [&str; 4] = ["secret", "email", "iban", "card"];

/// The first lines of a log.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    lines: Vec<Vec<u8>>,
}

impl Sample {
    /// Adds lines, until there are enough.
    pub(crate) fn add<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) {
        let missing = LINES.saturating_sub(self.lines.len());
        let lines = lines.filter(|line| line.len() <= LONGEST).take(missing);
        self.lines.extend(lines.map(<[u8]>::to_vec));
    }

    /// Reads the first lines of files. Leaves out pipes, whose lines come only once.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn of_files<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Result<Sample, InputError> {
        let mut sample = Sample::default();
        for path in paths.into_iter().filter(|path| path.is_file()) {
            let open = Input::file(path).open()?.unpacked(None, None)?;
            let mut lines = Lines::new(open.bytes, 0);
            while sample.lines.len() < LINES
                && let Some(line) = lines.next().map_err(|error| InputError::of_read(&open.name, error))?
            {
                sample.add(std::iter::once(line.text));
            }
        }
        Ok(sample)
    }

    /// Returns a warning if the lines look personal.
    pub(crate) fn warning(&self) -> Option<String> {
        Some(format!("{}; --set redact=all masks such values", self.finding(first_lines)?))
    }

    /// Says what looks personal, if anything does. `name` names so many lines.
    pub(crate) fn finding(&self, name: impl Fn(usize) -> String) -> Option<String> {
        let rules = RedactRules { kinds: KINDS.map(str::to_owned).to_vec(), ..RedactRules::default() };
        let mut redactor = Redactor::new(&rules, [0; 32]).ok()?;
        self.lines.iter().for_each(|line| redactor.line(line, &mut Vec::new()));
        let found: Vec<String> = redactor.counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let (lines, found) = (self.lines.len(), (!found.is_empty()).then(|| found.join(", "))?);
        Some(format!("{} look personal ({found})", name(lines)))
    }
}

/// Names the first lines of files.
pub(crate) fn first_lines(lines: usize) -> String {
    format!("the first {lines} lines")
}
