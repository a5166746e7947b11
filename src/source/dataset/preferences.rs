//! Pairs of answers to one request, the better and the worse one: what a training by preference (DPO) learns from. They
//! come from ratings of people and from labels that people corrected. Requests of eval rows have none.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::read::ReadInput;
use super::reread::LineReader;
use super::write::RowWriter;
use crate::data::corpus::Corpus;
use crate::data::corrections::{Corrections, Corrector, RequestNamer};
use crate::data::feedback::RatedRecord;
use crate::data::options::DatasetRequest;
use crate::data::origin::Origin;
use crate::data::rows::RowRenderer;
use crate::data::split::Split;
use crate::source::manifest::DatasetFile;
use crate::source::output::{Output, remove_if_there};

/// The pairs, below the dataset folder. Without any the file is not written.
pub(crate) const PREFERENCES: &str = "train/preference/preference_data.jsonl";

/// Ratings and corrections of answers by people.
pub(super) struct Opinions<'a> {
    pub(super) rated: &'a [RatedRecord],
    pub(super) corrections: &'a Corrections,
}

/// The newest good and the newest bad answer to a request.
#[derive(Clone, Copy, Default)]
struct Rated {
    good: Option<RatedRecord>,
    bad: Option<RatedRecord>,
}

/// Writes the pairs of the training and validation rows into the folder `out`.
pub(super) fn write(
    inputs: &[ReadInput],
    corpus: &Corpus,
    split: &Split,
    request: &DatasetRequest,
    opinions: &Opinions<'_>,
    out: &Path,
) -> Result<Option<DatasetFile>> {
    remove_if_there(&out.join(PREFERENCES))?;
    let rated = both_ways(opinions.rated);
    if rated.is_empty() && opinions.corrections.is_empty() {
        return Ok(None);
    }
    let renderer = || RowRenderer::new(request.split.parse_function_arguments);
    let mut lines = LineReader::new(inputs);
    let mut namer = RequestNamer::default();
    let mut logged = RowWriter::new(inputs, renderer(), None);
    let mut corrected = RowWriter::new(inputs, renderer(), Corrector::new(opinions.corrections, &request.labels));
    let mut output: Option<Output> = None;
    for &row in split.train.iter().chain(&split.validation) {
        let at = corpus.rows[row as usize].origin;
        let key = namer.key(lines.read(&at)?)?;
        let (better, worse) = match rated.get(&key) {
            Some(Rated { good: Some(good), bad: Some(bad) }) if opinions.corrections.label(key).is_none() => {
                (training_row(&mut logged, &good.origin)?, training_row(&mut logged, &bad.origin)?)
            }
            _ if opinions.corrections.label(key).is_some() => {
                (training_row(&mut corrected, &at)?, training_row(&mut logged, &at)?)
            }
            _ => continue,
        };
        if let Some(pair) = pair(better, worse) {
            let file = match &mut output {
                Some(file) => file,
                None => output.insert(Output::new(out, PREFERENCES)?),
            };
            file.rows(pair.to_string().as_bytes(), 1)?;
        }
    }
    output.map(Output::finish).transpose()
}

/// Returns the requests that have both a good and a bad answer.
fn both_ways(rated: &[RatedRecord]) -> HashMap<u128, Rated> {
    let mut requests: HashMap<u128, Rated> = HashMap::new();
    for record in rated {
        let of = requests.entry(record.request).or_default();
        let newest = if record.is_good { &mut of.good } else { &mut of.bad };
        let order = |record: &RatedRecord| (record.timestamp, record.origin);
        if newest.as_ref().is_none_or(|known| order(known) < order(record)) {
            *newest = Some(*record);
        }
    }
    requests.retain(|_, of| of.good.is_some() && of.bad.is_some());
    requests
}

fn training_row(rows: &mut RowWriter<'_>, at: &Origin) -> Result<Value> {
    let mut row = Vec::new();
    rows.row(at, RowRenderer::training_row, &mut row)?;
    Ok(serde_json::from_slice(&row)?)
}

/// Returns the pair of two rows of one request. `None` if both have the same answer.
fn pair(mut better: Value, worse: Value) -> Option<Value> {
    let answer = |row: &Value| row["messages"].as_array().and_then(|messages| messages.last().cloned());
    let (chosen, rejected) = (answer(&better)?, answer(&worse)?);
    if chosen == rejected {
        return None;
    }
    better["messages"].as_array_mut()?.pop();
    let mut pair = json!({"prompt": better["messages"], "chosen": [chosen], "rejected": [rejected]});
    if let Some(tools) = better.get("tools") {
        pair["tools"] = tools.clone();
    }
    Some(pair)
}
