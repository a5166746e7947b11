//! Review files of `split --review`: one row for each request that a person should look at, with an empty column for the
//! right label. Values in, text out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::review::ReviewItem;
use crate::data::hand_made;

/// A row of a review file.
#[derive(Serialize)]
struct ReviewRow<'a> {
    request: &'a str,
    reason: &'static str,
    label: &'a str,
    suggested: &'a str,
    /// For people to fill in.
    correct: &'static str,
    evidence: &'a str,
    text: String,
}

/// Returns the file: JSON lines, or else CSV.
///
/// # Errors
/// When a row cannot be written, which no value causes.
pub(crate) fn file(items: &[ReviewItem], as_lines: bool) -> anyhow::Result<Vec<u8>> {
    let rows = items.iter().map(|item| ReviewRow {
        request: &item.request,
        reason: item.reason.word(),
        label: &item.label,
        suggested: item.suggested.as_deref().unwrap_or_default(),
        correct: "",
        evidence: &item.evidence,
        text: if as_lines { item.text.clone() } else { without_formula(&item.text) },
    });
    if as_lines {
        let lines: Result<Vec<String>, _> = rows.map(|row| serde_json::to_string(&row)).collect();
        return Ok(lines?.iter().flat_map(|line| [line.as_bytes(), b"\n"]).flatten().copied().collect());
    }
    hand_made::table(&["request", "reason", "label", "suggested", "correct", "evidence", "text"], rows)
}

/// Returns the numbers of requests by the reason to look at them.
pub(crate) fn counts(items: &[ReviewItem]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    items.iter().for_each(|item| *counts.entry(item.reason.word().to_owned()).or_default() += 1);
    counts
}

/// Returns a text that no spreadsheet runs as a formula. Texts come from outside.
fn without_formula(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::dataset::review::ReviewReason;

    #[test]
    fn cells_are_quoted_and_formulas_are_texts() {
        let item = ReviewItem {
            request: "req-1".to_owned(),
            reason: ReviewReason::OffTaxonomy,
            label: "A, \"b\"".to_owned(),
            suggested: None,
            evidence: "e".to_owned(),
            text: "=HYPERLINK(1)\nx".to_owned(),
        };
        let items = [item];
        let csv = String::from_utf8(file(&items, false).unwrap()).unwrap();
        let wanted = "request,reason,label,suggested,correct,evidence,text\n\
                      req-1,off_taxonomy,\"A, \"\"b\"\"\",,,e,\"'=HYPERLINK(1)\nx\"\n";
        assert_eq!(csv, wanted);
        let line: serde_json::Value = serde_json::from_slice(&file(&items, true).unwrap()).unwrap();
        assert_eq!((&line["text"], &line["correct"]), (&"=HYPERLINK(1)\nx".into(), &"".into()));
        assert_eq!(counts(&items), BTreeMap::from([("off_taxonomy".to_owned(), 1)]));
    }
}
