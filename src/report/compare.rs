//! Two runs beside each other: what differs in configuration, data and code, and their models compared.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::assemble::rfc3339;
use super::json::SCHEMA;
use super::layout::{Grid, Page, Side};
use super::run_tables;
use crate::run::across::PastRun;
use crate::run::outcome::ComparisonFact;

/// The output of `compare`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CompareReport {
    pub schema: u32,
    /// The id of the earlier run.
    pub earlier: String,
    /// The id of the run that is compared with it.
    pub run: String,
    /// Keys of the configuration with different values.
    pub configuration: Vec<Change>,
    /// Counts and hashes of the manifests.
    pub data: Vec<Change>,
    /// Versions.
    pub code: Vec<Change>,
    /// The models that both runs evaluated. `a` is of the earlier run.
    pub comparisons: Vec<ComparisonFact>,
}

/// A value that is not the same in both runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub key: String,
    /// `None`: not given.
    pub earlier: Option<String>,
    pub run: Option<String>,
}

/// Values by key.
type Values = BTreeMap<String, String>;

impl CompareReport {
    /// Compares what is recorded of two runs. `code` has the versions of each.
    ///
    /// # Errors
    /// When a manifest cannot be written as JSON.
    pub(crate) fn new(
        runs: [&PastRun<'_>; 2],
        code: &[Vec<(&'static str, String)>; 2],
        comparisons: Vec<ComparisonFact>,
    ) -> anyhow::Result<CompareReport> {
        let settings = |run: &PastRun<'_>| -> Values {
            run.plan.origins.iter().map(|(key, origin)| (key.clone(), origin.value.clone())).collect()
        };
        let data = |run: &PastRun<'_>| run.manifest.as_ref().map(serde_json::to_value).transpose().map(of_manifest);
        let versions = |code: &[(&str, String)]| -> Values {
            code.iter().map(|(name, version)| ((*name).to_owned(), version.clone())).collect()
        };
        let [old, new] = runs;
        Ok(CompareReport {
            schema: SCHEMA,
            earlier: old.id().to_owned(),
            run: new.id().to_owned(),
            configuration: changes(&settings(old), &settings(new)),
            data: changes(&data(old)?, &data(new)?),
            code: changes(&versions(&code[0]), &versions(&code[1])),
            comparisons,
        })
    }

    /// Lays out the tables.
    pub(crate) fn text(&self, width: usize, color: bool) -> String {
        let mut page = Page::new(width, color);
        let sections = [("Configuration", &self.configuration), ("Data", &self.data), ("Code", &self.code)];
        for (title, changes) in sections {
            page.title(title);
            if changes.is_empty() {
                page.plain("", "the same in both runs");
                continue;
            }
            let columns = [("", Side::Left), (self.earlier.as_str(), Side::Left), (self.run.as_str(), Side::Left)];
            let mut grid = Grid::new(&columns);
            for Change { key, earlier, run } in changes {
                let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
                grid.row([key.clone(), shown(earlier), shown(run)]);
            }
            page.grid(&grid);
        }
        page.title(&format!("Models of {} against {}'s", self.run, self.earlier));
        if self.comparisons.is_empty() {
            page.plain("", "no model was evaluated by the same score in both runs");
        }
        run_tables::comparison_rows(&mut page, &self.comparisons);
        page.text()
    }
}

/// Returns the counts of a manifest, and the hashes of its files and inputs.
fn of_manifest(manifest: Option<Value>) -> Values {
    let mut values = Values::new();
    for (key, value) in manifest.iter().filter_map(Value::as_object).flatten() {
        match value {
            // Epoch seconds.
            Value::Number(time) if ["first", "last"].contains(&key.as_str()) => {
                let date = time.as_i64().map_or_else(|| time.to_string(), |seconds| rfc3339(seconds * 1000));
                values.insert(key.clone(), date);
            }
            Value::String(text) => drop(values.insert(key.clone(), text.clone())),
            Value::Number(_) | Value::Bool(_) => drop(values.insert(key.clone(), value.to_string())),
            // Their hashes say whether they are the same files.
            Value::Array(files) => {
                for file in files {
                    let hash = file.get("sha256").or(file.get("blake3")).and_then(Value::as_str);
                    if let Some((path, hash)) = file.get("path").and_then(Value::as_str).zip(hash) {
                        values.insert(path.to_owned(), hash.chars().take(16).collect());
                    }
                }
            }
            Value::Object(_) | Value::Null => {}
        }
    }
    values
}

/// Returns the keys whose values differ.
fn changes(old: &Values, new: &Values) -> Vec<Change> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let change = |key: &String| {
        let (earlier, run) = (old.get(key).cloned(), new.get(key).cloned());
        (earlier != run).then(|| Change { key: key.clone(), earlier, run })
    };
    keys.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let values = |pairs: &[(&str, &str)]| -> Values {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let (old, new) = (values(&[("a", "1"), ("b", "2"), ("c", "3")]), values(&[("a", "1"), ("b", "5"), ("d", "4")]));
        let told: Vec<(String, Option<String>, Option<String>)> =
            changes(&old, &new).into_iter().map(|one| (one.key, one.earlier, one.run)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("b".to_owned(), some("2"), some("5")),
                ("c".to_owned(), some("3"), None),
                ("d".to_owned(), None, some("4"))
            ]
        );
    }

    #[test]
    fn a_manifest_is_told_by_its_counts_and_hashes() {
        let manifest = serde_json::json!({"read": 7, "first": 1_736_158_421, "workload": "w", "classes": {"x": 1}, "warnings": ["y"],
            "files": [{"path": "eval.jsonl", "rows": 1, "sha256": "0123456789abcdef0123"}]});
        let values = of_manifest(Some(manifest));
        let told: Vec<(&str, &str)> = values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            told,
            [("eval.jsonl", "0123456789abcdef"), ("first", "2025-01-06T10:13:41Z"), ("read", "7"), ("workload", "w")]
        );
    }
}
