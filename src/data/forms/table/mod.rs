//! Tables: turns CSV and TSV rows with a text and a label column into log records. Works on a whole table in memory,
//! because the default prompt lists all labels of the table.

mod raw_rows;

use std::collections::BTreeMap;

use crate::data::forms::template::{Meaning, Template, UnknownPlaceholder};
use crate::data::json::canonical::write_string;
use crate::data::label;
use crate::data::reject::Reject;
pub(crate) use raw_rows::find_delimiter;
use raw_rows::{Cut, RawRow, RawRows};

/// Names by which a text column is recognised, the likeliest first.
const TEXT_COLUMNS: &[&str] =
    &["text", "headline", "title", "sentence", "content", "message", "body", "input", "question", "query", "prompt"];
/// Names by which a label column is recognised, the likeliest first.
const LABEL_COLUMNS: &[&str] =
    &["label", "labels", "class", "category", "event", "topic", "sentiment", "intent", "target", "answer", "output"];
/// The most labels that the default prompt lists. With more it lists none.
const MOST_LISTED: usize = 100;
const DEFAULT_PROMPT: &str = "{text}";
const DEFAULT_SYSTEM: &str = "Classify the text. Choose exactly one of these classes:\n{labels}\nAnswer with the class in triple square brackets, \
     such as [[[{example}]]], and nothing else.";
const DEFAULT_SYSTEM_UNLISTED: &str =
    "Classify the text. Answer with its class in triple square brackets, and nothing else.";

/// Options for tables. `None` lets the table decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableOptions {
    /// Header of the column with the text.
    pub(crate) text_column: Option<String>,
    /// Header of the column with the label.
    pub(crate) label_column: Option<String>,
    /// Template of the system message. An empty one leaves the message out.
    pub(crate) system: Option<String>,
    /// Template of the user message.
    pub(crate) prompt: Option<String>,
    /// The byte between cells.
    pub(crate) delimiter: Option<u8>,
    /// The first row is data. The columns are named by their numbers, from 1.
    pub(crate) has_no_header: bool,
}

/// The reason that a table cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TableError {
    /// The header is no text.
    #[error("the header is not UTF-8 text")]
    Header,
    /// An option names a column that is not there.
    #[error("there is no column {name}: the header has {}", columns.join(", "))]
    NoColumn {
        /// The name asked for.
        name: String,
        /// The names in the header.
        columns: Vec<String>,
    },
    /// Neither an option nor a known name tells the column.
    #[error("cannot tell which column holds the {what}: choose one with {flag}, the header has {}", columns.join(", "))]
    Unclear {
        /// `text` or `label`.
        what: &'static str,
        /// The option that names the column.
        flag: &'static str,
        /// The names in the header.
        columns: Vec<String>,
    },
    /// The first row seems to hold a text and a label, and no names.
    #[error("the first row looks like data, not like a header: {0}")]
    NoHeader(String),
    /// A template holds an unknown placeholder.
    #[error("{flag} has an unknown placeholder {{{name}}}: known are {{text}}, {{labels}} and the columns {}", columns.join(", "))]
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

/// A table with known columns and prompts.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    bytes: &'a [u8],
    columns: Vec<String>,
    text: usize,
    label: usize,
    system: Option<Template>,
    prompt: Template,
    cut: Cut,
    body: usize,
    has_header: bool,
}

/// One row of a table.
#[derive(Debug)]
pub(crate) struct TableRow<'a> {
    /// Number of the line on which it starts, from 1.
    pub(crate) line: u64,
    /// The row as written, without its line end.
    pub(crate) raw: &'a [u8],
    /// It repeats the header, as in tables that were put together.
    pub(crate) is_header: bool,
    /// The log record as JSON, or the reason that there is none.
    pub(crate) record: Result<Vec<u8>, Reject>,
}

impl<'a> Table<'a> {
    /// Reads the header and finds columns and prompts. Returns `None` for an empty table.
    pub(crate) fn read(bytes: &'a [u8], options: &TableOptions) -> Result<Option<Table<'a>>, TableError> {
        let cut = Cut::of(bytes, options.delimiter);
        let mut rows = RawRows::new(bytes, cut, 0, None);
        let Some(header) = rows.next() else { return Ok(None) };
        let has_header = !options.has_no_header;
        let columns =
            if has_header { names(&header)? } else { (1..=header.cells.len()).map(|n| n.to_string()).collect() };
        let text = named(&columns, options.text_column.as_deref())?;
        let label = named(&columns, options.label_column.as_deref())?;
        let text_known = text.or_else(|| known(&columns, TEXT_COLUMNS, label));
        let label_known = label.or_else(|| known(&columns, LABEL_COLUMNS, text_known));
        let other = |taken: Option<usize>| taken.filter(|_| columns.len() == 2).map(|taken| 1 - taken);
        let is_nameless = has_header && text_known.is_none() && label_known.is_none() && looks_like_data(&columns);
        let unclear = |what, flag| match is_nameless {
            true => TableError::NoHeader(columns.join(", ")),
            false => TableError::Unclear { what, flag, columns: columns.clone() },
        };
        let text = text_known.or_else(|| other(label_known)).ok_or_else(|| unclear("text", "--text-column"))?;
        let label = label_known.or_else(|| other(Some(text))).ok_or_else(|| unclear("label", "--label-column"))?;
        let body = if has_header { rows.at } else { 0 };
        let prompt = Template::constant("");
        let mut table = Table { bytes, columns, text, label, system: None, prompt, cut, body, has_header };
        table.settle_prompts(options)?;
        Ok(Some(table))
    }

    /// Returns the names of the columns with the text and the label.
    pub(crate) fn taken(&self) -> [&str; 2] {
        [&self.columns[self.text], &self.columns[self.label]]
    }

    fn settle_prompts(&mut self, options: &TableOptions) -> Result<(), TableError> {
        let labels = self.labels();
        let listed: Vec<String> = labels.iter().map(|label| format!("- {label}")).collect();
        let system = match options.system.as_deref() {
            Some(given) => self.template(given, "--system", &listed.join("\n"))?,
            None if labels.is_empty() || labels.len() > MOST_LISTED => Template::constant(DEFAULT_SYSTEM_UNLISTED),
            None => {
                let text = DEFAULT_SYSTEM.replace("{example}", &labels[0]);
                Template::constant(&text.replace("{labels}", &listed.join("\n")))
            }
        };
        self.system = Some(system).filter(|system| !system.is_empty());
        let prompt = options.prompt.as_deref().unwrap_or(DEFAULT_PROMPT);
        self.prompt = self.template(prompt, "--prompt", &listed.join("\n"))?;
        if self.prompt.varies() { Ok(()) } else { Err(TableError::Constant) }
    }

    fn template(&self, text: &str, flag: &'static str, labels: &str) -> Result<Template, TableError> {
        let template = Template::parse(text, |name| match name {
            "text" => Some(Meaning::Cell(self.text)),
            "labels" => Some(Meaning::Constant(labels.to_owned())),
            _ => position(&self.columns, name).map(Meaning::Cell),
        });
        let template = template.map_err(|UnknownPlaceholder(name)| TableError::Placeholder {
            flag,
            name,
            columns: self.columns.clone(),
        })?;
        if template.shows(self.label) { Err(TableError::Leak(flag)) } else { Ok(template) }
    }

    /// Returns the labels of the table, each as written most often, in the order of their comparison keys.
    fn labels(&self) -> Vec<String> {
        let mut spellings: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for row in self.raw_rows().filter(|row| !self.is_header(row)) {
            if let Ok(cells) = self.cells(&row)
                && let label = cells[self.label].trim()
                && !label.is_empty()
            {
                *spellings.entry(label::key(label)).or_default().entry(label.to_owned()).or_default() += 1;
            }
        }
        let most = |spellings: BTreeMap<String, u64>| spellings.into_iter().rev().max_by_key(|(_, count)| *count);
        spellings.into_values().filter_map(most).map(|(label, _)| label).collect()
    }

    /// Returns the rows below the header.
    pub(crate) fn rows(&self) -> impl Iterator<Item = TableRow<'a>> + '_ {
        self.raw_rows().map(|row| {
            let record = self.cells(&row).and_then(|cells| self.record(&cells));
            TableRow { line: row.line, raw: row.raw, is_header: self.is_header(&row), record }
        })
    }

    fn raw_rows(&self) -> RawRows<'a> {
        RawRows::new(self.bytes, self.cut, self.body, Some(self.columns.len()))
    }

    fn is_header(&self, row: &RawRow<'_>) -> bool {
        let name = |cell| std::str::from_utf8(cell).map(|name: &str| name.trim_matches(is_around_a_name));
        let names = row.cells.iter().map(name);
        self.has_header
            && row.cells.len() == self.columns.len()
            && names.eq(self.columns.iter().map(|name| Ok(name.as_str())))
    }

    fn cells<'r>(&self, row: &'r RawRow<'a>) -> Result<Vec<&'r str>, Reject> {
        if row.broken || row.cells.len() != self.columns.len() {
            return Err(Reject::BadRow);
        }
        row.cells.iter().map(|cell| std::str::from_utf8(cell).map_err(|_| Reject::InvalidUtf8)).collect()
    }

    fn record(&self, cells: &[&str]) -> Result<Vec<u8>, Reject> {
        if cells[self.text].trim().is_empty() {
            return Err(Reject::EmptyText);
        }
        let label = cells[self.label].trim();
        if label.is_empty() {
            return Err(Reject::NoLabel);
        }
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(b"{\"request\":{\"messages\":[");
        if let Some(system) = &self.system {
            push_message("system", &system.fill(cells), &mut out);
            out.push(b',');
        }
        push_message("user", &self.prompt.fill(cells), &mut out);
        out.extend_from_slice(b"]},\"response\":{\"choices\":[{\"message\":");
        push_message("assistant", &format!("[[[{label}]]]"), &mut out);
        out.extend_from_slice(b"}]}");
        let mut metadata = Vec::new();
        for (at, name) in self.columns.iter().enumerate() {
            let cell = cells[at].trim();
            if at == self.text || at == self.label || cell.is_empty() || position(&self.columns, name) != Some(at) {
                continue;
            }
            let own = ["timestamp", "workload_id", "client_id"].into_iter().find(|own| name.eq_ignore_ascii_case(own));
            push_member(own.unwrap_or(name), cell, if own.is_some() { &mut out } else { &mut metadata });
        }
        if let Some((_, members)) = metadata.split_first() {
            out.extend_from_slice(b",\"metadata\":{");
            out.extend_from_slice(members);
            out.push(b'}');
        }
        out.push(b'}');
        Ok(out)
    }
}

/// Returns the names in a header.
fn names(header: &RawRow<'_>) -> Result<Vec<String>, TableError> {
    let name = |cell| std::str::from_utf8(cell).map(|name: &str| name.trim_matches(is_around_a_name).to_owned());
    let names = header.cells.iter().map(name).collect::<Result<Vec<_>, _>>();
    let shown = || header.cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect::<Vec<_>>();
    names.map_err(
        |_| if looks_like_data(&shown()) { TableError::NoHeader(shown().join(", ")) } else { TableError::Header },
    )
}

/// Returns true for white space, and for the mark of byte order that stands in front of a file.
fn is_around_a_name(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// Returns true if a cell of a first row is a number or has as many words as a sentence.
fn looks_like_data(cells: &[String]) -> bool {
    cells.iter().any(|cell| cell.parse::<f64>().is_ok() || cell.split_whitespace().count() > 4)
}

fn push_message(role: &str, content: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"role\":\"");
    out.extend_from_slice(role.as_bytes());
    out.extend_from_slice(b"\",\"content\":");
    write_string(content, out);
    out.push(b'}');
}

fn push_member(key: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b',');
    write_string(key, out);
    out.push(b':');
    write_string(value, out);
}

fn position(columns: &[String], name: &str) -> Option<usize> {
    let exact = columns.iter().position(|column| column == name);
    exact.or_else(|| columns.iter().position(|column| label::key(column) == label::key(name)))
}

fn named(columns: &[String], name: Option<&str>) -> Result<Option<usize>, TableError> {
    let Some(name) = name else { return Ok(None) };
    let no_column = || TableError::NoColumn { name: name.to_owned(), columns: columns.to_vec() };
    let by_number = || name.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < columns.len());
    position(columns, name).or_else(by_number).map(Some).ok_or_else(no_column)
}

fn known(columns: &[String], names: &[&str], taken: Option<usize>) -> Option<usize> {
    names.iter().find_map(|name| position(columns, name).filter(|at| Some(*at) != taken))
}

#[cfg(test)]
mod tests;
