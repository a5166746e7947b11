//! Rows for people to check before they trust labels: conflicts, labels that are not allowed, and the rows in which a
//! classifier can look for wrong ones.

use anyhow::Context as _;
use serde_json::Value;

use super::read::ReadInput;
use super::reread::LineReader;
use super::write::RowWriter;
use crate::data::corpus::Corpus;
use crate::data::corrections::RequestNamer;
use crate::data::examples::prompt::question;
use crate::data::label::{self, LabelReader};
use crate::data::options::{DatasetRequest, LabelRules};
use crate::data::origin::Origin;
use crate::data::reject::Reject;
use crate::data::rows::RowRenderer;
use crate::data::workload_type::WorkloadType;

/// Rows in which wrong labels are looked for, at most. More cost minutes.
const MOST_ROWS: usize = 20_000;

/// The reason to look at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReviewReason {
    /// It was answered with different labels.
    Conflict,
    /// Its label is not one of `labels`.
    OffTaxonomy,
    /// Rows like it have another label.
    LikelyWrong,
}

impl ReviewReason {
    /// Returns the word in review files.
    pub(crate) fn word(self) -> &'static str {
        match self {
            ReviewReason::Conflict => "conflict",
            ReviewReason::OffTaxonomy => "off_taxonomy",
            ReviewReason::LikelyWrong => "likely_wrong",
        }
    }
}

/// A request that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReviewItem {
    /// The name of the request.
    pub(crate) request: String,
    pub(crate) reason: ReviewReason,
    /// The label as it is.
    pub(crate) label: String,
    pub(crate) suggested: Option<String>,
    /// Why the label is in doubt.
    pub(crate) evidence: String,
    /// The last message of the user.
    pub(crate) text: String,
}

/// A row with its label, to learn from.
#[derive(Clone, Debug)]
pub(crate) struct LabelledRow {
    pub(crate) request: String,
    /// Equal for rows that belong together.
    pub(crate) group: u64,
    pub(crate) label: String,
    /// The messages of the request.
    pub(crate) messages: Value,
    /// The last message of the user.
    pub(crate) text: String,
}

/// The doubtful requests of a workload, and the rows to learn from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Review {
    pub(crate) items: Vec<ReviewItem>,
    pub(crate) rows: Vec<LabelledRow>,
}

/// Gathers what a review needs. Only classification has labels to review.
pub(super) fn gather(inputs: &[ReadInput], corpus: &Corpus, request: &DatasetRequest) -> anyhow::Result<Review> {
    if corpus.workload_type != WorkloadType::Classification {
        return Ok(Review::default());
    }
    let mut rows = RecordReader {
        rows: RowWriter::new(inputs, RowRenderer::new(true), None),
        lines: LineReader::new(inputs),
        names: RequestNamer::default(),
    };
    let mut review = Review::default();
    for conflict in &corpus.conflicts {
        let (name, row) = rows.read(&conflict.kept)?;
        let found: Vec<String> = conflict.labels.iter().map(|(label, records)| format!("{label} {records}")).collect();
        let most = conflict.labels.values().max();
        let mut frequent = conflict.labels.iter().filter(|(_, records)| Some(*records) == most);
        let only = frequent.next().filter(|_| frequent.next().is_none());
        review.items.push(ReviewItem {
            request: name,
            reason: ReviewReason::Conflict,
            label: conflict.label.clone(),
            suggested: only.map(|(label, _)| label.clone()),
            evidence: format!("its records have different labels: {}", found.join(", ")),
            text: text_of(&row),
        });
    }
    review.items.extend(off_taxonomy(&mut rows, corpus, &request.labels)?);
    let step = corpus.rows.len().div_ceil(MOST_ROWS).max(1);
    for row in corpus.rows.iter().filter(|row| !row.is_frozen).step_by(step) {
        let (request, record) = rows.read(&row.origin)?;
        review.rows.push(LabelledRow {
            request,
            group: row.group,
            label: corpus.classes[row.class as usize].clone(),
            text: text_of(&record),
            messages: record["request"]["messages"].clone(),
        });
    }
    Ok(review)
}

/// Returns the requests whose label is not allowed, each once, with the nearest label that is.
fn off_taxonomy(rows: &mut RecordReader<'_>, corpus: &Corpus, rules: &LabelRules) -> anyhow::Result<Vec<ReviewItem>> {
    let labels = LabelReader::new(rules).map_err(anyhow::Error::msg)?;
    let mut found: Vec<ReviewItem> = Vec::new();
    for (at, _) in corpus.late.iter().filter(|(_, reason)| *reason == Reject::OffTaxonomy) {
        let (request, row) = rows.read(at)?;
        let answer = row["response"]["choices"][0]["message"]["content"].as_str().unwrap_or_default();
        let label = labels.read(answer).unwrap_or_default().to_owned();
        found.push(ReviewItem {
            request,
            reason: ReviewReason::OffTaxonomy,
            suggested: nearest(&label, rules.allowed.as_deref().unwrap_or_default()),
            label,
            evidence: "it is not one of labels".to_owned(),
            text: text_of(&row),
        });
    }
    found.sort_by(|a, b| a.request.cmp(&b.request));
    found.dedup_by(|a, b| a.request == b.request);
    Ok(found)
}

/// Returns the allowed label that takes the fewest changes, compared with its length.
fn nearest(label: &str, allowed: &[String]) -> Option<String> {
    let label = label::key(label);
    let likeness = |other: &String| strsim::normalized_damerau_levenshtein(&label, &label::key(other));
    allowed.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).cloned()
}

fn text_of(row: &Value) -> String {
    question(row["request"]["messages"].as_array().map_or(&[][..], Vec::as_slice))
}

/// Reads records again, with the names of their requests.
struct RecordReader<'a> {
    rows: RowWriter<'a>,
    lines: LineReader<'a>,
    names: RequestNamer,
}

impl RecordReader<'_> {
    fn read(&mut self, at: &Origin) -> anyhow::Result<(String, Value)> {
        let name = self.names.name(self.lines.read(at)?).with_context(|| self.lines.failed(at))?;
        let mut row = Vec::new();
        self.rows.row(at, RowRenderer::eval_row, &mut row)?;
        Ok((name, serde_json::from_slice(&row)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_label_ignores_case_and_small_faults() {
        let allowed = ["Dividends", "Mergers", "Legal"].map(str::to_owned);
        for (label, near) in
            [("dividend", "Dividends"), ("MERGER", "Mergers"), ("Leagl", "Legal"), ("Divestment", "Dividends")]
        {
            assert_eq!(nearest(label, &allowed).as_deref(), Some(near), "{label}");
        }
        assert_eq!(nearest("x", &[]), None);
    }
}
