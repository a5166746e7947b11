//! Why a table cannot be read. Shows what stands in its first row bounded and without control characters, because that may
//! be a whole record, or no text at all.

/// Columns, and characters of each, that a message shows.
const SHOWN: (usize, usize) = (12, 40);

/// The reason that a table cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TableError {
    /// The header is no text.
    #[error("the header is not UTF-8 text")]
    Header,
    /// An option names a column that is not there.
    #[error("there is no column {name}: the header has {}", listed(columns))]
    NoColumn {
        /// The name asked for.
        name: String,
        /// The names in the header.
        columns: Vec<String>,
    },
    /// Several columns have the name that was taken.
    #[error("columns {} have the same name {name}: choose one by its number with {flag}", numbered(columns))]
    Twice {
        /// The name in the header.
        name: String,
        /// The option that names the column.
        flag: &'static str,
        /// The places of the columns, from 0.
        columns: Vec<usize>,
    },
    /// Neither an option nor a known name tells the column.
    #[error("cannot tell which column holds the {what}: choose one with {flag}, the header has {}", listed(columns))]
    Unclear {
        /// `text` or `label`.
        what: &'static str,
        /// The option that names the column.
        flag: &'static str,
        /// The names in the header.
        columns: Vec<String>,
    },
    /// The first row seems to hold a text and a label, and no names.
    #[error("the first row looks like data, not like a header: {}", listed(_0))]
    NoHeader(Vec<String>),
    /// The columns are those of an exporter, whose texts and labels stand within requests and answers.
    #[error("the columns look like an export of {0}")]
    Export(&'static str),
    /// The exporter that was named writes no tables.
    #[error("an export of {0} is no table")]
    NoTables(&'static str),
    /// A template holds an unknown placeholder.
    #[error(
        "{flag} has an unknown placeholder {{{name}}}: known are {{text}}, {{labels}} and the columns {}",
        listed(columns)
    )]
    Placeholder {
        /// The option with the template.
        flag: &'static str,
        /// The placeholder.
        name: String,
        /// The names in the header.
        columns: Vec<String>,
    },
    /// A template would tell the model the label.
    #[error("{0} contains the label column: the prompt would give the answer away")]
    Leak(&'static str),
    /// The user message would be the same for every row.
    #[error("--prompt contains no column: write {{text}} where the text of a row belongs")]
    Constant,
}

/// Returns the beginning of a cell, fit to be shown.
pub(super) fn shown(cell: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = cell.chars().take(SHOWN.1).map(clean).collect();
    if cell.chars().nth(SHOWN.1).is_some() {
        shown.push_str("...");
    }
    shown
}

fn numbered(columns: &[usize]) -> String {
    let numbers: Vec<String> = columns.iter().map(|at| (at + 1).to_string()).collect();
    numbers.join(" and ")
}

fn listed(columns: &[String]) -> String {
    let mut listed: Vec<String> = columns.iter().take(SHOWN.0).map(|column| shown(column)).collect();
    if let Some(more) = columns.len().checked_sub(SHOWN.0).filter(|more| *more > 0) {
        listed.push(format!("and {more} more"));
    }
    listed.join(", ")
}
