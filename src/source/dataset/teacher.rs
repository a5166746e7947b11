//! The teacher on the rows of the eval set, as the log tells: how long its answers took, and how many tokens they had.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;

use super::read::ReadInput;
use super::reread::LineReader;
use crate::data::corpus::Corpus;
use crate::data::forms::{self, Forms};
use crate::data::json::members::Members;
use crate::data::reject::Reject;
use crate::source::manifest::{Manifest, TeacherUsage};

/// Reads `latency_ms` and `response.usage` of the eval rows into a manifest, if any row has either.
pub(super) fn add_usage(
    manifest: &mut Manifest,
    inputs: &[ReadInput],
    corpus: &Corpus,
    eval: &[u32],
) -> anyhow::Result<()> {
    let mut lines = LineReader::new(inputs);
    let mut latencies: Vec<f64> = Vec::new();
    let mut usage = TeacherUsage::default();
    for &row in eval {
        let at = &corpus.rows[row as usize].origin;
        let line = lines.read(at)?.to_vec();
        let told = forms::read(&line, Forms::Logged, read_record).with_context(|| lines.failed(at))?;
        latencies.extend(told.latency_ms.filter(|ms| *ms >= 0.0));
        if let Some((prompt, completion)) = told.tokens {
            usage.usage_rows += 1;
            usage.prompt_tokens = usage.prompt_tokens.saturating_add(prompt);
            usage.completion_tokens = usage.completion_tokens.saturating_add(completion);
        }
    }
    latencies.sort_by(f64::total_cmp);
    usage.latency_rows = latencies.len() as u64;
    usage.p50_ms = nearest_rank(&latencies, 0.5);
    usage.p95_ms = nearest_rank(&latencies, 0.95);
    manifest.teacher = (usage != TeacherUsage::default()).then_some(usage);
    manifest.teacher_latencies = steps(&latencies);
    Ok(())
}

/// Counts latencies in steps of half an octave, by the lower bound of the step. Latencies below 1 ms have the step 0.
fn steps(latencies: &[f64]) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for ms in latencies {
        let lower = if *ms < 1.0 { 0.0 } else { ((ms.log2() * 2.0).floor() / 2.0).exp2() };
        *counts.entry(lower as u64).or_default() += 1;
    }
    counts
}

/// Time and tokens of an answer, as its record states them.
#[derive(Debug, PartialEq)]
struct ToldOfAnswer {
    latency_ms: Option<f64>,
    /// Tokens of the prompt and of the completion.
    tokens: Option<(u64, u64)>,
}

/// Reads only what is asked for: the other numbers of a record may be larger than a double.
fn read_record(json: &[u8]) -> Result<ToldOfAnswer, Reject> {
    let record: Members<'_> = serde_json::from_slice(json).map_err(|_| Reject::BadResponse)?;
    // Chunks are put together before they are read again.
    let response: Members<'_> = within(&record, "response").ok_or(Reject::BadResponse)?;
    let usage: Option<Members<'_>> = within(&response, "usage");
    let tokens = |name: &str| within::<u64>(usage.as_ref()?, name);
    let tokens = tokens("prompt_tokens").zip(tokens("completion_tokens"));
    Ok(ToldOfAnswer { latency_ms: within(&record, "latency_ms"), tokens })
}

fn within<'a, T: Deserialize<'a>>(object: &'a Members<'_>, key: &str) -> Option<T> {
    serde_json::from_str(object.get(key)?.get()).ok()
}

/// Returns the smallest value that this share of the sorted values does not exceed.
pub(crate) fn nearest_rank(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_double_holds_are_left_out() {
        let read = |json: &str| forms::read(json.as_bytes(), Forms::Logged, read_record);
        let told = |latency_ms, tokens| Ok(ToldOfAnswer { latency_ms, tokens });
        let huge = r#"{"x":1e400,"latency_ms":1e400,"response":{"usage":{"prompt_tokens":-1,"completion_tokens":2}}}"#;
        assert_eq!(read(huge), told(None, None));
        let good = r#"{"latency_ms":7,"response":{"y":-1e999,"usage":{"prompt_tokens":3,"completion_tokens":2}}}"#;
        assert_eq!(read(good), told(Some(7.0), Some((3, 2))));
        assert_eq!(read(r#"{"response":{"usage":[1e400]}}"#), told(None, None));
        assert_eq!(read("{}"), Err(Reject::BadResponse));
    }

    #[test]
    fn latencies_are_counted_in_steps_of_half_an_octave() {
        let counts = steps(&[0.0, 0.9, 1.0, 1.4, 1.5, 100.0, 128.0, 180.0, 182.0, 1e6]);
        let small: Vec<(u64, u64)> = counts.into_iter().take(6).collect();
        assert_eq!(small, [(0, 2), (1, 3), (90, 1), (128, 2), (181, 1), (741_455, 1)]);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((nearest_rank(&values, 0.5), nearest_rank(&values, 0.95)), (Some(10.0), Some(19.0)));
        assert_eq!(nearest_rank(&values[..1], 0.95), Some(1.0));
        assert_eq!(nearest_rank(&[], 0.5), None);
    }
}
