//! The teacher on the rows of the eval set, as the log tells: how long its answers took, and how many tokens they had.

use anyhow::Context as _;
use serde_json::Value;

use super::read::ReadInput;
use super::reread::LineReader;
use crate::data::corpus::Corpus;
use crate::data::forms::{self, Forms};
use crate::data::reject::Reject;
use crate::source::manifest::TeacherUsage;

/// Reads `latency_ms` and `response.usage` of the eval rows. `None` if no row has either.
pub(super) fn usage(inputs: &[ReadInput], corpus: &Corpus, eval: &[u32]) -> anyhow::Result<Option<TeacherUsage>> {
    let mut lines = LineReader::new(inputs);
    let mut latencies: Vec<f64> = Vec::new();
    let mut usage = TeacherUsage::default();
    for &row in eval {
        let at = &corpus.rows[row as usize].origin;
        let line = lines.read(at)?.to_vec();
        let record = forms::read(&line, Forms::Logged, read_record).with_context(|| lines.failed(at))?;
        latencies.extend(record["latency_ms"].as_f64().filter(|ms| *ms >= 0.0));
        let tokens = |name: &str| record["response"]["usage"][name].as_u64();
        if let Some((prompt, completion)) = tokens("prompt_tokens").zip(tokens("completion_tokens")) {
            usage.usage_rows += 1;
            usage.prompt_tokens += prompt;
            usage.completion_tokens += completion;
        }
    }
    latencies.sort_by(f64::total_cmp);
    usage.latency_rows = latencies.len() as u64;
    usage.p50_ms = nearest_rank(&latencies, 0.5);
    usage.p95_ms = nearest_rank(&latencies, 0.95);
    Ok((usage != TeacherUsage::default()).then_some(usage))
}

fn read_record(json: &[u8]) -> Result<Value, Reject> {
    match serde_json::from_slice::<Value>(json) {
        // Chunks are put together before they are read again.
        Ok(record) if record["response"].is_object() => Ok(record),
        _ => Err(Reject::BadResponse),
    }
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
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((nearest_rank(&values, 0.5), nearest_rank(&values, 0.95)), (Some(10.0), Some(19.0)));
        assert_eq!(nearest_rank(&values[..1], 0.95), Some(1.0));
        assert_eq!(nearest_rank(&[], 0.5), None);
    }
}
