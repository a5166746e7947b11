//! Tables: turns CSV and TSV rows with a text and a label column into log records. Works on a whole table in memory,
//! because the default prompt lists all labels of the table.

mod documents;
mod error;
mod header;
mod raw_rows;

use std::collections::BTreeMap;

use crate::data::forms::presets::Preset;
use crate::data::forms::template::{Meaning, Template, UnknownPlaceholder};
use crate::data::json::canonical::write_string;
use crate::data::label;
use crate::data::reject::Reject;
pub(crate) use documents::Documents;
pub(crate) use error::TableError;
use header::Header;
use raw_rows::Cut;
pub(crate) use raw_rows::{TableRow, find_delimiter};

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

/// A table with known columns and prompts.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    header: Header<'a>,
    text: usize,
    label: usize,
    system: Option<Template>,
    prompt: Template,
}

impl<'a> Table<'a> {
    /// Reads the header and finds columns and prompts. Returns `None` for an empty table.
    pub(crate) fn read(bytes: &'a [u8], options: &TableOptions) -> Result<Option<Table<'a>>, TableError> {
        let cut = Cut::of(bytes, options.delimiter);
        let Some(header) = Header::read(bytes, cut, !options.has_no_header)? else { return Ok(None) };
        let columns = &header.columns;
        let text = named(columns, options.text_column.as_deref())?;
        let label = named(columns, options.label_column.as_deref())?;
        if let (None, None, Some(export)) = (text, label, Preset::of_keys(columns)) {
            return Err(TableError::Export(export.name));
        }
        let text_known = text.or_else(|| known(columns, TEXT_COLUMNS, label));
        let label_known = label.or_else(|| known(columns, LABEL_COLUMNS, text_known));
        // A number names no column, even if a cell of the first row holds it: that row may be data nevertheless.
        let is_name = |given: &String| number_in(columns, given).is_none() && position(columns, given).is_some();
        let is_named = [&options.text_column, &options.label_column].into_iter().flatten().any(is_name)
            || [TEXT_COLUMNS, LABEL_COLUMNS].iter().any(|names| known(columns, names, None).is_some());
        if !is_named && header.is_likely_data() {
            return Err(TableError::NoHeader(header.columns));
        }
        let other = |taken: Option<usize>| taken.filter(|_| columns.len() == 2).map(|taken| 1 - taken);
        let unclear = |what, flag| TableError::Unclear { what, flag, columns: columns.clone() };
        let text = text_known.or_else(|| other(label_known)).ok_or_else(|| unclear("text", "--text-column"))?;
        let label = label_known.or_else(|| other(Some(text))).ok_or_else(|| unclear("label", "--label-column"))?;
        for (at, given, flag) in
            [(text, &options.text_column, "--text-column"), (label, &options.label_column, "--label-column")]
        {
            if given.as_ref().is_none_or(is_name) {
                single(columns, at, flag)?;
            }
        }
        let mut table = Table { header, text, label, system: None, prompt: Template::constant("") };
        table.settle_prompts(options)?;
        Ok(Some(table))
    }

    /// Returns the names of the columns with the text and the label.
    pub(crate) fn taken(&self) -> [String; 2] {
        [self.text, self.label].map(|at| error::shown(&self.header.columns[at]))
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
            _ => position(&self.header.columns, name).map(Meaning::Cell),
        });
        let template = template.map_err(|UnknownPlaceholder(name)| TableError::Placeholder {
            flag,
            name,
            columns: self.header.columns.clone(),
        })?;
        if template.shows(self.label) { Err(TableError::Leak(flag)) } else { Ok(template) }
    }

    /// Returns the labels of the table, each as written most often, in the order of their comparison keys.
    fn labels(&self) -> Vec<String> {
        let mut spellings: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for row in self.header.rows().filter(|row| !self.header.is_repeated(row)) {
            if let Ok(cells) = self.header.cells(&row)
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
        self.header.rows().map(|row| {
            let record = self.header.cells(&row).and_then(|cells| self.record(&cells));
            TableRow { line: row.line, raw: row.raw, is_header: self.header.is_repeated(&row), record }
        })
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
        for (at, name) in self.header.columns.iter().enumerate() {
            let cell = cells[at].trim();
            if at == self.text
                || at == self.label
                || cell.is_empty()
                || position(&self.header.columns, name) != Some(at)
            {
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

/// Checks that no other column has the name of this one.
fn single(columns: &[String], at: usize, flag: &'static str) -> Result<(), TableError> {
    let name = &columns[at];
    let same: Vec<usize> = (0..columns.len()).filter(|other| columns[*other] == *name).collect();
    if same.len() < 2 || name.is_empty() {
        return Ok(());
    }
    Err(TableError::Twice { name: error::shown(name), flag, columns: same })
}

fn named(columns: &[String], name: Option<&str>) -> Result<Option<usize>, TableError> {
    let Some(name) = name else { return Ok(None) };
    let no_column = || TableError::NoColumn { name: name.to_owned(), columns: columns.to_vec() };
    position(columns, name).or_else(|| number_in(columns, name)).map(Some).ok_or_else(no_column)
}

/// Returns the column with this number, from 1.
fn number_in(columns: &[String], name: &str) -> Option<usize> {
    name.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < columns.len())
}

fn known(columns: &[String], names: &[&str], taken: Option<usize>) -> Option<usize> {
    names.iter().find_map(|name| position(columns, name).filter(|at| Some(*at) != taken))
}

#[cfg(test)]
mod tests;
